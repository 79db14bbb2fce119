//go:build race

package broker

// raceDetector has pools drop what they are given, so counts of allocations do not hold.
const raceDetector = true

//go:build race

package brokertest_test

// raceDetector multiplies what a test costs, so limits on real time do not hold.
const raceDetector = true

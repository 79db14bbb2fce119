//go:build !race

package brokertest_test

const raceDetector = false

//go:build synctests

package sim_test

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain has memory collected less often: seeds are many and small.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

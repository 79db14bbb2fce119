//go:build planted

package planted

import (
	"os"
	"sync/atomic"
)

// chosen is the bug of this process. The environment chooses it, as every binary
// and test of the tree must be able to have one.
var chosen = func() *atomic.Pointer[Bug] {
	var p atomic.Pointer[Bug]
	b := Bug(os.Getenv("ONCELOG_BUG"))
	p.Store(&b)
	return &p
}()

// Is says whether a bug is planted.
func Is(b Bug) bool { return *chosen.Load() == b }

// Choose plants a bug from now on in place of the one before; "": none.
func Choose(b Bug) { chosen.Store(&b) }

package txn

import (
	"testing"
	"testing/synctest"
)

// Section 4: EndTxn answers when the end is decided; the markers are under way
// then, all of them together, and the transaction completes after the last.
func TestMarkersGoTogetherBehindTheAnswer(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		p := w.init("a")
		if err := w.add("a", p, orders(0), orders(1), orders(2)); err != nil {
			t.Fatal(err)
		}
		w.markers.hold()
		if _, err := w.end("a", p, commit, 5); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.markers.open != 3 {
			t.Errorf("%d markers are being written, want 3", w.markers.open)
		}
		if s := w.state("a"); s != PrepareCommit {
			t.Errorf("state %v before the markers are written", s)
		}
		w.markers.release()
		synctest.Wait()
		if s := w.state("a"); s != CompleteCommit {
			t.Errorf("state %v", s)
		}
	})
}

package group

import "testing"

// hard-37: a client may commit any offset that is not negative, even one that
// its partition has not reached.
func TestHard37OffsetBeyondTheEnd(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		want(t, "commit", w.client().commit(0, 1<<40), nil)
		w.wantFetch("g", 0, true, 1<<40, nil)
		w.restart()
		w.wantFetch("g", 0, true, 1<<40, nil)
	})
}

// Promise 16: what a commit refuses leaves the offset where it was, and what it
// accepts is there after a restart.
func TestOffsetsMoveOnlyWhenAsked(t *testing.T) {
	bubble(t, Config{InitialRebalanceDelay: -1}, func(w *world) {
		m := w.client()
		w.stable(m)
		want(t, "commit", m.commit(0, 10), nil)
		zombie, stranger, negative := *m, *m, m
		zombie.generation--
		stranger.id = "nobody"
		if zombie.commit(0, 3) == nil || stranger.commit(0, 4) == nil || negative.commit(0, -5) == nil {
			t.Error("a commit that must be refused was not")
		}
		w.wantFetch("g", 0, true, 10, nil)
		want(t, "rewind that was asked for", m.commit(0, 2), nil)
		w.restart()
		w.wantFetch("g", 0, true, 2, nil)
	})
}

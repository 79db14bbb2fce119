package log

import "sync/atomic"

// once remembers the answer to a question that is asked again until it does not
// fail. Asking twice at the same time does no harm.
type once struct{ known atomic.Int32 }

func (o *once) get(ask func() (bool, error)) (bool, error) {
	switch o.known.Load() {
	case 1:
		return true, nil
	case 2:
		return false, nil
	}
	yes, err := ask()
	if err != nil {
		return false, err
	}
	if yes {
		o.known.Store(1)
	} else {
		o.known.Store(2)
	}
	return yes, nil
}

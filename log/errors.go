package log

import "errors"

// The package's own errors. What a client may see is a *kerr.Error instead.
var (
	// ErrNotFound says that no row has this index: it is compacted away or not yet written.
	ErrNotFound = errors.New("log: no such index")
	// ErrOutOfRange says that an offset is below the log start or above the log end.
	ErrOutOfRange = errors.New("log: offset out of range")
	// ErrClosed says that the log was closed.
	ErrClosed = errors.New("log: closed")
	// ErrMismatch says that entries do not continue the log: an index, a base
	// offset, a leader epoch or a term is not the next one.
	ErrMismatch = errors.New("log: entry does not continue the log")
	// ErrCorrupt says that bytes which were synced are not what was written.
	ErrCorrupt = errors.New("log: corrupt")
	// ErrNewerFormat says that the directory was written by a newer program.
	ErrNewerFormat = errors.New("log: written by a newer version of oncelog")
	// ErrFailed says that an earlier disk error stopped all writes until reopened.
	ErrFailed = errors.New("log: stopped by an earlier disk error")
)

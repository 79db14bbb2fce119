package broker

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The package's own errors.
var (
	// ErrClosed says that the broker is closed.
	ErrClosed = errors.New("broker: closed")
	// ErrConfig says that the settings cannot be used.
	ErrConfig = errors.New("settings")
	// ErrNewerFormat says that the folder was written by a newer program.
	ErrNewerFormat = errors.New("broker: folder written by a newer version of oncelog")
)

// A refusal is a wire error whose message is exactly text, as Kafka words it.
type refusal struct {
	code *kerr.Error
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.code }

// refuse makes a wire error with a message for the client.
func refuse(code *kerr.Error, format string, args ...any) error {
	return &refusal{code: code, text: fmt.Sprintf(format, args...)}
}

package protocol

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrClose says that the connection must be closed without an answer. Every
// error of Serve and ReadFrame but io.EOF wraps it or is an error of the reader.
var ErrClose = errors.New("close the connection")

// Code is the Kafka error code of err: 0 for nil, the code of the *kerr.Error
// inside, REQUEST_TIMED_OUT for an ended context, else UNKNOWN_SERVER_ERROR.
func Code(err error) int16 {
	if err == nil {
		return 0
	}
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code
	}
	if ended(err) {
		return kerr.RequestTimedOut.Code
	}
	return kerr.UnknownServerError.Code
}

// Message is the text that goes beside Code(err), nil for nil: what was seen,
// without the name of the code at its end, or what the code means. What Code
// does not know is not told to the peer.
func Message(err error) *string {
	if err == nil {
		return nil
	}
	text := kerr.UnknownServerError.Description
	var known *kerr.Error
	switch {
	case errors.As(err, &known):
		text = known.Description
		// The code stands beside it.
		why := strings.TrimSuffix(strings.TrimSuffix(err.Error(), known.Error()), known.Message)
		if why = strings.TrimSuffix(why, ": "); why != "" {
			text = why
		}
	case ended(err):
		text = kerr.RequestTimedOut.Description
	}
	return &text
}

// Unexpected says that Code does not know err, so that somebody must log it.
func Unexpected(err error) bool {
	return err != nil && Code(err) == kerr.UnknownServerError.Code
}

func ended(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

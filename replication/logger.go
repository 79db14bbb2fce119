package replication

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger passes raft's warnings and errors on to slog, at Warn: an error of
// raft's, such as a peer that does not answer, is none of the node's.
type raftLogger struct {
	hclog.Logger // answers the methods that write nothing
	logger       *slog.Logger
}

func newRaftLogger(logger *slog.Logger) raftLogger {
	return raftLogger{Logger: hclog.NewNullLogger(), logger: logger}
}

// Log is called by none of raft's code, but belongs to the interface.
func (l raftLogger) Log(level hclog.Level, msg string, args ...any) {
	if level >= hclog.Warn {
		l.write(msg, args)
	}
}

// Warn writes at Warn.
func (l raftLogger) Warn(msg string, args ...any) { l.write(msg, args) }

// Error writes at Warn.
func (l raftLogger) Error(msg string, args ...any) { l.write(msg, args) }

// IsWarn reports whether warnings are wanted.
func (l raftLogger) IsWarn() bool { return l.logger.Enabled(context.Background(), slog.LevelWarn) }

// IsError reports whether errors are wanted; they are written as warnings.
func (l raftLogger) IsError() bool { return l.IsWarn() }

// With adds attributes to every message.
func (l raftLogger) With(args ...any) hclog.Logger {
	return raftLogger{Logger: l.Logger, logger: l.logger.With(plain(args)...)}
}

// Named, ResetNamed keep the logger: the partition names itself by attributes.
func (l raftLogger) Named(string) hclog.Logger { return l }

// ResetNamed keeps the logger.
func (l raftLogger) ResetNamed(string) hclog.Logger { return l }

func (l raftLogger) write(msg string, args []any) {
	l.logger.Warn("raft", append([]any{"message", msg}, plain(args)...)...)
}

// plain renders hclog's own formatted values.
func plain(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			out[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
			continue
		}
		out[i] = a
	}
	return out
}

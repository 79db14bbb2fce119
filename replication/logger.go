package replication

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger passes raft's warnings and errors on to slog. What every group says
// again when one node is gone or back goes out at Debug: the detector and the
// mesh tell it once. The rest is at Warn.
type raftLogger struct {
	hclog.Logger // answers the methods that write nothing
	logger       *slog.Logger
}

func newRaftLogger(logger *slog.Logger) raftLogger {
	return raftLogger{Logger: hclog.NewNullLogger(), logger: logger}
}

// Log is called by none of raft's code, but belongs to the interface.
func (l raftLogger) Log(level hclog.Level, msg string, args ...any) {
	switch {
	case level >= hclog.Error:
		l.Error(msg, args...)
	case level == hclog.Warn:
		l.Warn(msg, args...)
	}
}

// Warn writes at Debug: most warnings are of votes and of appends that find
// their place.
func (l raftLogger) Warn(msg string, args ...any) {
	if told[msg] {
		l.write(slog.LevelWarn, msg, args)
	} else {
		l.write(slog.LevelDebug, msg, args)
	}
}

// Error writes at Warn, and at Debug what is only of a node that does not answer.
func (l raftLogger) Error(msg string, args ...any) {
	if ofPeers[msg] {
		l.write(slog.LevelDebug, msg, args)
	} else {
		l.write(slog.LevelWarn, msg, args)
	}
}

// told are the warnings that tell of something lost.
var told = map[string]bool{
	"failed to contact quorum of nodes, stepping down": true,
	"clearing log suffix":                              true,
}

// ofPeers are the errors that another node's absence brings.
var ofPeers = map[string]bool{
	"failed to heartbeat to":                    true,
	"failed to appendEntries to":                true,
	"failed to pipeline appendEntries":          true,
	"failed to start pipeline replication to":   true,
	"failed to make requestVote RPC":            true,
	"failed to send snapshot to":                true,
	"failed to install snapshot":                true,
	"peer has newer term, stopping replication": true,
}

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

func (l raftLogger) write(level slog.Level, msg string, args []any) {
	if ctx := context.Background(); l.logger.Enabled(ctx, level) {
		l.logger.Log(ctx, level, "raft", append([]any{"message", msg}, plain(args)...)...)
	}
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

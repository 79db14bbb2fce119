package log

import (
	"context"
	"time"
)

// CompactLimits bound a compaction from above.
type CompactLimits struct {
	HighWatermark    int64
	LastStableOffset int64
	Applied          uint64 // no row above this index leaves the raft part
	MinMatch         int64  // the lowest log end of the voters seen lately; 0: no voter to wait for
	Now              time.Time
}

// CompactResult says what a compaction did.
type CompactResult struct {
	Ran                     bool
	UpTo                    int64 // the new end of the clean prefix
	BytesBefore, BytesAfter int64
}

// Compact rewrites the sealed segments below the limits, when enough of them is
// dirty, keeping the newest record of each key (hard-33).
func (l *Log) Compact(ctx context.Context, limits CompactLimits) (CompactResult, error) {
	return CompactResult{}, nil
}

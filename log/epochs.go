package log

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An EpochStart says at which offset a leader epoch begins.
type EpochStart struct {
	Epoch       int32
	StartOffset int64
}

// epochs lists leader epochs by number. A term's first entry, of any kind,
// makes one, so an epoch without records has its place (hard-30).
type epochs []EpochStart

// assign notes that an entry of epoch was stored when the log end was offset.
func (e epochs) assign(epoch int32, offset int64) epochs {
	if epoch <= e.latest() {
		return e
	}
	return append(e, EpochStart{epoch, offset})
}

// latest is the newest epoch, -1 for none.
func (e epochs) latest() int32 {
	if len(e) == 0 {
		return -1
	}
	return e[len(e)-1].Epoch
}

// end answers OffsetForLeaderEpoch: the largest known epoch up to the asked one
// and the offset after its last record; -1, -1 for an epoch of the future.
// Source: org.apache.kafka.storage.internals.epoch.LeaderEpochFileCache.endOffsetFor.
func (e epochs) end(epoch int32, logEnd int64) (int32, int64) {
	switch {
	case epoch < 0 || epoch > e.latest():
		return -1, -1
	case epoch == e.latest():
		return epoch, logEnd
	}
	next, _ := slices.BinarySearchFunc(e, epoch+1, func(s EpochStart, want int32) int { return int(s.Epoch) - int(want) })
	if next == 0 {
		return epoch, e[0].StartOffset
	}
	return e[next-1].Epoch, e[next].StartOffset
}

// at is the epoch of the record at offset, -1 if it is older than all.
func (e epochs) at(offset int64) int32 {
	for _, s := range slices.Backward(e) {
		if s.StartOffset <= offset {
			return s.Epoch
		}
	}
	return -1
}

// truncate forgets epochs newer than the last remaining entry's.
func (e epochs) truncate(lastEpoch int32) epochs {
	return slices.DeleteFunc(slices.Clone(e), func(s EpochStart) bool { return s.Epoch > lastEpoch })
}

// trim forgets epochs that end at or below the log start; the one that holds
// the start begins there.
func (e epochs) trim(start int64) epochs {
	kept := slices.Clone(e)
	for len(kept) > 1 && kept[1].StartOffset <= start {
		kept = kept[1:]
	}
	if len(kept) > 0 {
		kept[0].StartOffset = max(kept[0].StartOffset, start)
	}
	return kept
}

// encode writes the checkpoint as Kafka does: version 0, count, then a line of
// epoch and start offset each. Source: LeaderEpochCheckpointFile.
func (e epochs) encode() []byte {
	b := fmt.Appendf(nil, "0\n%d\n", len(e))
	for _, s := range e {
		b = fmt.Appendf(b, "%d %d\n", s.Epoch, s.StartOffset)
	}
	return b
}

// decodeEpochs reads a checkpoint.
//
// Errors: ErrCorrupt.
func decodeEpochs(b []byte) (epochs, error) {
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) < 2 || lines[0] != "0" || lines[1] != strconv.Itoa(len(lines)-2) {
		return nil, fmt.Errorf("leader epoch checkpoint of %d lines: %w", len(lines), ErrCorrupt)
	}
	var list epochs
	for _, line := range lines[2:] {
		epochText, offsetText, _ := strings.Cut(line, " ")
		epoch, err := strconv.ParseInt(epochText, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("leader epoch checkpoint line %q: %w", line, ErrCorrupt)
		}
		offset, err := strconv.ParseInt(offsetText, 10, 64)
		if err != nil || int32(epoch) <= list.latest() || offset < 0 {
			return nil, fmt.Errorf("leader epoch checkpoint line %q: %w", line, ErrCorrupt)
		}
		list = append(list, EpochStart{int32(epoch), offset})
	}
	return list, nil
}

package log

import "slices"

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

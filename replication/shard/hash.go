package shard

import "unicode/utf16"

// PartitionFor is the partition, of so many, that holds the records of a group or
// a transactional id: the absolute value of Java's hash of it, modulo partitions.
// Source: Utils.abs(String.hashCode) in GroupCoordinatorService.partitionFor.
func PartitionFor(id string, partitions int32) int32 {
	var hash int32
	for _, unit := range utf16.Encode([]rune(id)) {
		hash = 31*hash + int32(unit)
	}
	return max(hash, -hash, 0) % partitions // the smallest number counts as 0
}

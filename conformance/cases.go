package conformance

// Cases lists every case in the order of a report: by area, section and
// number.
func Cases() []Case {
	return []Case{
		idempotenceWindowNewest,
		idempotenceWindowFifth,
		idempotenceWindowSixth,
		idempotenceSequenceGap,
		idempotenceEpochFirst,
		idempotenceEpochOld,
		idempotenceUnknownProducer,
		idempotenceWrapSingle,
		idempotenceWrapBatch,
		idempotenceAcksOne,
		produceMinISR,
		readLSOOpen,
		readLSOFirst,
		readLSOPlain,
		readLSOTimestamp,
		readAbortedList,
		readAbortedInterleaved,
		readAbortedRange,
		readControlOffset,
		readControlEach,
		readControlUntouched,
		readUncommittedAll,
		readWaitCommit,
		txnMappingEnd,
		txnMappingInit,
		txnMappingZero,
		txnInitOpen,
		txnInitAborts,
		txnZombieEndInflight,
		txnZombieProduceInflight,
		txnZombieSettled,
		txnEmptyCommit,
		txnEmptyAbort,
		txnRetryEnd,
	}
}

package conformance

var produceMinISR = Case{
	ID:          "produce/minisr/1",
	Title:       "min.insync.replicas above the replication factor does not refuse acks=all",
	Requirement: "Partition.effectiveMinIsr = min(min.insync.replicas, replicas)",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog("min.insync.replicas", "3")
		answer := t.produce(log, call{}, plain("one"))
		t.code("acks=all, one replica, min.insync.replicas=3", answer.ErrorCode, codeNone)
		t.equal("high watermark", t.highWatermark(log), 1)
	},
}

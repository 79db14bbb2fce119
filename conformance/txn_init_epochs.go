package conformance

import "fmt"

var txnInitEpochs = Case{
	ID:          "txn/init/3",
	Title:       "InitProducerId over an open transaction uses up two epochs, however often it is asked meanwhile",
	Requirement: "KAFKA-19367; TransactionMetadata.prepareFenceProducerEpoch, prepareIncrementProducerEpoch",
	Level:       Should,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv).begin(log)
			p.append(log, 1)
			settled := t.initSettled(initCall{txid: p.txid})
			t.mustCode("InitProducerId", settled.ErrorCode, codeNone)
			t.equal("producer id", settled.ProducerID, p.id)
			t.equal(fmt.Sprintf("protocol %d: epochs used up", tv), settled.ProducerEpoch-p.epoch, 2)
			t.equal("epoch of the marker", t.epochOfMarker(log)-p.epoch, 1)
		}
	},
}

// epochOfMarker is the producer epoch of the one marker of a partition.
func (t *T) epochOfMarker(log partition) int16 {
	t.stable(log)
	markers := t.markers(log)
	if len(markers) != 1 {
		t.fatalf("markers", "1", "%d", len(markers))
	}
	return markers[0].producerEpoch
}

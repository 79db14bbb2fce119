package conformance

var txnInitAborts = Case{
	ID:          "txn/init/2",
	Title:       "InitProducerId aborts the open transaction and frees the last stable offset",
	Requirement: "KIP-98; TransactionCoordinator.handleInitProducerId",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv).begin(log)
			p.append(log, 2)
			t.equal("last stable offset with the transaction open", t.lastStable(log), 0)
			t.producerOf(p.txid, tv)
			t.equal("end of the log, marker included", t.stable(log), 3)
			t.equal("records committed", len(t.committed(log)), 0)
			markers := t.markers(log)
			t.equal("markers", len(markers), 1)
			if len(markers) == 1 {
				t.equal("the marker commits", markers[0].marker.commit, false)
			}
		}
	},
}

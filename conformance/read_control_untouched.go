package conformance

var readControlUntouched = Case{
	ID:          "read/control/3",
	Title:       "a partition that was added and never written gets its marker as well",
	Requirement: "KIP-98; markers go to every added partition",
	Level:       Observed,
	Needs:       tv1(),
	Run: func(t *T) {
		tp := t.newTopic(2)
		p := t.transactional(1).begin(tp.at(0), tp.at(1))
		p.append(tp.at(0), 1)
		p.endSettled(true, tp.at(0))
		t.until("a marker in the untouched partition", func() (string, bool) {
			return "no marker", len(t.markers(tp.at(1))) == 1
		})
	},
}

package conformance

var protocolSweepBeyond = Case{
	ID:          "protocol/sweep/2",
	Title:       "a version above the offered one closes the connection, whatever the request",
	Requirement: "RequestContext.parseRequest; ApiVersions alone is answered",
	Level:       Must,
	Run: func(t *T) {
		for _, key := range clientKeys() {
			own, ok := t.cluster.apis[key]
			req := emptyRequest(key)
			if !ok || key == keyApiVersions || own.max >= req.MaxVersion() {
				continue // the library cannot speak a version beyond its own
			}
			req.SetVersion(own.max + 1)
			c := t.dialNode(t.any())
			if _, err := c.send(req); err != nil {
				t.fatalf(requestName(req), "sent", "%v", err)
			}
			t.closed(requestName(req), c)
		}
	},
}

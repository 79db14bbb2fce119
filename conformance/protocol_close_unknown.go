package conformance

import "encoding/binary"

var protocolCloseUnknown = Case{
	ID:          "protocol/close/1",
	Title:       "an unknown key or version closes the connection",
	Requirement: "SocketServer, RequestContext.parseRequest",
	Level:       Must,
	Destructive: true,
	Run: func(t *T) {
		bent := func(what string, key, version int16) {
			c := t.dialNode(t.any())
			frame := c.formatter.AppendRequest(nil, t.versionsRequest(0), 1)[4:]
			binary.BigEndian.PutUint16(frame, uint16(key))
			binary.BigEndian.PutUint16(frame[2:], uint16(version))
			if err := c.sendRaw(frame); err != nil {
				t.fatalf(what, "sent", "%v", err)
			}
			t.closed(what, c)
		}
		bent("key 9999", 9999, 0)
		bent("key -1", -1, 0)
		bent("Metadata 99", keyMetadata, 99)
		bent("Metadata -1", keyMetadata, -1)
	},
}

package conformance

import "encoding/binary"

var protocolCloseFrame = Case{
	ID:          "protocol/close/2",
	Title:       "a frame that cannot be closes the connection and harms no other",
	Requirement: "NetworkReceive; socket.request.max.bytes",
	Level:       Must,
	Destructive: true,
	Run: func(t *T) {
		for _, bad := range []struct {
			what string
			raw  []byte
		}{
			{"length -1", []byte{0xff, 0xff, 0xff, 0xff}},
			{"length 2147483647", []byte{0x7f, 0xff, 0xff, 0xff}},
			{"length 0", []byte{0, 0, 0, 0}},
			{"length 5", []byte{0, 0, 0, 5, 0, 3, 0, 0, 0}},
			{"an HTTP request", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
			{"a string too long", stringTooLong()},
			{"an array too long", arrayTooLong()},
			{"client id length -2", []byte{0, 0, 0, 10, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xfe}},
		} {
			c := t.dialNode(t.any())
			if _, err := c.nc.Write(bad.raw); err != nil {
				t.fatalf(bad.what, "sent", "%v", err)
			}
			t.closed(bad.what, c)
		}
	},
}

// header is a request header of version 1 with an empty client id.
func header(key, version int16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return append(b, 0, 0, 0, 1, 0, 0)
}

// framed puts the length before a frame.
func framed(frame []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
}

// stringTooLong is Metadata 1 with a topic name that goes beyond the frame.
func stringTooLong() []byte {
	return framed(append(header(keyMetadata, 1), 0, 0, 0, 1, 0x7f, 0xff, 'a'))
}

// arrayTooLong is Metadata 1 with 2147483647 topics and none in it.
func arrayTooLong() []byte {
	return framed(append(header(keyMetadata, 1), 0x7f, 0xff, 0xff, 0xff))
}

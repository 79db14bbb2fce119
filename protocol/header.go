package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
)

// keyApiVersions answers a version it does not know, and has response header v0
// at every version, since it is asked before versions are known (KIP-511).
const keyApiVersions = 18

// parseHeader reads the request header up to the client id: header v1, and the
// part of v2 that is the same. The client id is never compact.
func parseHeader(frame []byte) (r Request, rest []byte, err error) {
	if len(frame) < minFrame {
		return r, nil, fmt.Errorf("request of %d bytes has no header: %w", len(frame), ErrClose)
	}
	r.Key = int16(binary.BigEndian.Uint16(frame))
	r.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	r.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	return r, frame[minFrame:], nil
}

// parseClientID reads the nullable string that follows the correlation id. r.Conn
// is known.
func parseClientID(r *Request, rest []byte) ([]byte, error) {
	if len(rest) < 2 {
		return nil, fmt.Errorf("request header ends before the client id: %w", ErrClose)
	}
	size := int(int16(binary.BigEndian.Uint16(rest)))
	rest = rest[2:]
	if size < -1 || size > len(rest) {
		return nil, fmt.Errorf("client id of %d bytes in %d: %w", size, len(rest), ErrClose)
	}
	if size == -1 {
		return rest, nil
	}
	r.ClientID = r.Conn.clientID(rest[:size])
	return rest[size:], nil
}

// skipTags passes over the tagged fields of a header v2, known to us or not
// (KIP-482).
func skipTags(b []byte) ([]byte, error) {
	count, b, ok := uvarint(b)
	for ; ok && count > 0; count-- {
		var size uint32
		if _, b, ok = uvarint(b); !ok {
			break
		}
		if size, b, ok = uvarint(b); !ok || int64(size) > int64(len(b)) {
			ok = false
			break
		}
		b = b[size:]
	}
	if !ok {
		return nil, fmt.Errorf("tagged fields run over the end: %w", ErrClose)
	}
	return b, nil
}

// uvarint reads an unsigned varint of at most 32 bits.
func uvarint(b []byte) (value uint32, rest []byte, ok bool) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint32(b[0]), b[1:], true
	}
	long, n := binary.Uvarint(b[:min(len(b), binary.MaxVarintLen32)])
	if n <= 0 || long > math.MaxUint32 {
		return 0, nil, false
	}
	return uint32(long), b[n:], true
}

// appendResponseHeader appends the length, to be patched by finish, and the
// response header: v1 has an empty tag section.
func appendResponseHeader(dst []byte, correlationID int32, flexible bool) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if flexible {
		dst = append(dst, 0)
	}
	return dst
}

// finish writes the length of the frame that starts at start.
func finish(dst []byte, start int) ([]byte, error) {
	size := len(dst) - start - lengthSize
	if size > math.MaxInt32 {
		return nil, fmt.Errorf("response of %d bytes does not fit a frame: %w", size, ErrClose)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(size))
	return dst, nil
}

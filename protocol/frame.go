package protocol

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// lengthSize is the frame's length prefix, in bytes.
	lengthSize = 4
	// minFrame is the smallest request: key, version and correlation id.
	minFrame = 8
	// firstChunk is how much is allocated for a frame before any of it came;
	// it is the size that the reader's own buffer should have.
	firstChunk = 64 << 10
)

// ReadFrame reads one length-prefixed frame and returns it without its length.
// maxBytes is socket.request.max.bytes.
//
// The frame is read into buf where it fits, so that a caller may hand back the
// buffer of an earlier frame. Otherwise it gets a buffer of exactly its size
// when all of it is there already or it is small, and one that doubles as bytes
// arrive when not: a length alone never allocates more than 64 KiB. grow, when
// not nil, is asked before a buffer of more than that is made.
//
// Errors: io.EOF when the stream ends between two frames, ErrClose for a length
// that cannot be right, io.ErrUnexpectedEOF, those of grow and of the reader.
func ReadFrame(r *bufio.Reader, maxBytes int32, buf []byte, grow func(size int) error) ([]byte, error) {
	prefix, err := r.Peek(lengthSize)
	if err != nil {
		if len(prefix) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	size := int32(binary.BigEndian.Uint32(prefix))
	if size < minFrame || size > maxBytes {
		return nil, fmt.Errorf("frame of %d bytes, want %d to %d: %w", size, minFrame, maxBytes, ErrClose)
	}
	if _, err := r.Discard(lengthSize); err != nil {
		return nil, err
	}
	return ReadBody(r, int(size), buf, grow)
}

// ReadBody reads size bytes into buf where they fit, or into a buffer that doubles
// as bytes arrive, so that a size alone allocates no more than 64 KiB. grow, when
// not nil, is asked before a buffer of more than that is made.
//
// Errors: io.ErrUnexpectedEOF, those of grow and the reader's own.
func ReadBody(r *bufio.Reader, size int, buf []byte, grow func(size int) error) ([]byte, error) {
	if grow == nil {
		grow = func(int) error { return nil }
	}
	if cap(buf) < size {
		room := min(size, max(firstChunk, r.Buffered(), cap(buf)))
		if room > firstChunk {
			if err := grow(room); err != nil {
				return nil, err
			}
		}
		buf = make([]byte, room)
	}
	buf = buf[:min(size, cap(buf))]
	for filled := 0; ; {
		n, err := io.ReadFull(r, buf[filled:])
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		filled += n
		if filled == size {
			return buf, nil
		}
		room := min(size, 2*filled)
		if err := grow(room); err != nil {
			return nil, err
		}
		grown := make([]byte, room)
		copy(grown, buf)
		buf = grown
	}
}

package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy/xerial"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codecs, the low attribute bits. Source: org.apache.kafka.common.record.CompressionType.
const (
	CodecNone   int8 = 0
	CodecGzip   int8 = 1
	CodecSnappy int8 = 2
	CodecLZ4    int8 = 3
	CodecZstd   int8 = 4
)

const (
	// minDecompressed is the smallest buffer, in bytes.
	minDecompressed = 64 << 10
	// maxStored bounds what a stored batch may decompress to.
	maxStored = 1 << 30
	// maxZstdWindow is the window of zstd's level 22.
	maxZstdWindow = 128 << 20
	// zstdBlock is what the smallest zstd block, 4 bytes, can become.
	zstdBlock = 128 << 10
	// snappyRatio is above what snappy can reach: 3 bytes become 64.
	snappyRatio = 22
)

var errCompressed = errors.New("compressed records are broken")

// decompress puts the decompressed src into dst's memory, or into new memory
// that spent allows.
//
// Errors: errTooLarge, errBudget, else broken input.
func decompress(dst, src []byte, codec int8, spent *spending) ([]byte, error) {
	if err := spent.reserve(cap(dst)); err != nil {
		return nil, err
	}
	switch codec {
	case CodecNone:
		return src, nil
	case CodecGzip:
		return gunzip(dst, src, spent)
	case CodecSnappy:
		return unsnappy(dst, src, spent)
	case CodecLZ4:
		return unlz4(dst, src, spent)
	case CodecZstd:
		return unzstd(dst, src, spent)
	}
	return nil, fmt.Errorf("codec %d is unknown: %w", codec, errCompressed)
}

// A gzipReader and an lz4Reader keep their windows for the next batch.
type gzipReader struct {
	gzip.Reader
	src bytes.Reader
}

type lz4Reader struct {
	*lz4.Reader
	src bytes.Reader
}

var (
	gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}
	lz4Readers  = sync.Pool{New: func() any { return &lz4Reader{Reader: lz4.NewReader(nil)} }}
)

func gunzip(dst, src []byte, spent *spending) ([]byte, error) {
	r := gzipReaders.Get().(*gzipReader)
	defer func() {
		r.src.Reset(nil)
		gzipReaders.Put(r)
	}()
	r.src.Reset(src)
	if err := r.Reset(&r.src); err != nil {
		return nil, fmt.Errorf("gzip: %w: %w", err, errCompressed)
	}
	return readAll(dst, r, spent)
}

func unlz4(dst, src []byte, spent *spending) ([]byte, error) {
	r := lz4Readers.Get().(*lz4Reader)
	defer func() {
		r.src.Reset(nil)
		lz4Readers.Put(r)
	}()
	r.src.Reset(src)
	r.Reset(&r.src)
	return readAll(dst, r, spent)
}

func readAll(dst []byte, r io.Reader, spent *spending) (_ []byte, err error) {
	for dst = dst[:0]; ; {
		if len(dst) == cap(dst) {
			if dst, err = spent.grow(dst, 2); err != nil {
				return nil, err
			}
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst) > spent.limit {
			return nil, fmt.Errorf("%d bytes: %w", spent.limit, errTooLarge)
		}
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, errCompressed)
		}
	}
}

// Framing of snappy-java: a magic with two versions, then blocks with their
// lengths. librdkafka and others send one bare block instead.
const (
	xerialMagic  = "\x82SNAPPY\x00"
	xerialHeader = 16
)

func unsnappy(dst, src []byte, spent *spending) ([]byte, error) {
	dst = dst[:0]
	if len(src) < xerialHeader || string(src[:len(xerialMagic)]) != xerialMagic {
		return snappyBlock(dst, src, spent)
	}
	var err error
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, fmt.Errorf("snappy: %d bytes after the last block: %w", len(src), errCompressed)
		}
		size := int64(binary.BigEndian.Uint32(src))
		if src = src[4:]; size > int64(len(src)) {
			return nil, fmt.Errorf("snappy: block of %d bytes in %d: %w", size, len(src), errCompressed)
		}
		if dst, err = snappyBlock(dst, src[:size], spent); err != nil {
			return nil, err
		}
		src = src[size:]
	}
	return dst, nil
}

func snappyBlock(dst, src []byte, spent *spending) ([]byte, error) {
	size, err := s2.DecodedLen(src)
	if err != nil || size > snappyRatio*len(src) {
		return nil, fmt.Errorf("snappy: %d bytes cannot become %d: %w", len(src), size, errCompressed)
	}
	if len(dst)+size > spent.limit {
		return nil, fmt.Errorf("%d bytes: %w", spent.limit, errTooLarge)
	}
	for cap(dst)-len(dst) < size {
		if dst, err = spent.grow(dst, 2); err != nil {
			return nil, err
		}
	}
	got, err := s2.Decode(dst[len(dst):len(dst)+size], src)
	if err != nil || len(got) != size {
		return nil, fmt.Errorf("snappy: %w: %w", err, errCompressed)
	}
	return dst[:len(dst)+size], nil
}

// The zstd coders are made before main so that the channels inside them belong
// to no synctest bubble. They are safe for concurrent use.
var (
	zstdDecoder = newZstdDecoder()
	zstdEncoder = newZstdEncoder()
)

func newZstdDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		panic(err) // the options above are constants
	}
	return d
}

func newZstdEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options above are constants
	}
	e.EncodeAll([]byte{0}, nil) // makes its channel now
	return e
}

// unzstd retries with more room instead of trusting the content size that the
// frame claims.
func unzstd(dst, src []byte, spent *spending) (_ []byte, err error) {
	most := (len(src)/3 + 1) * zstdBlock
	for dst = dst[:0]; ; {
		if cap(dst) > 0 {
			got, err := zstdDecoder.DecodeAll(src, dst)
			if err == nil && len(got) <= spent.limit {
				return got, nil
			}
			if err != nil && !lacksRoom(err) {
				return nil, fmt.Errorf("zstd: %w: %w", err, errCompressed)
			}
		}
		if cap(dst) > most {
			return nil, fmt.Errorf("zstd: %d bytes cannot become more than %d: %w", len(src), most, errCompressed)
		}
		if dst, err = spent.grow(dst, 4); err != nil {
			return nil, err
		}
	}
}

// lacksRoom says that more room may help. Where the end of the room lies within a
// block, as it may in a frame that does not tell its content size (Java's do not),
// the decoder has no error of its own to say so.
func lacksRoom(err error) bool {
	return errors.Is(err, zstd.ErrDecoderSizeExceeded) || strings.Contains(err.Error(), "output bigger than max block size")
}

// DefaultLevel leaves the level of compression to the codec: gzip 6, lz4 9, zstd 3.
const DefaultLevel = 0

// A compressor names the writers that can take each other's place.
type compressor struct {
	codec int8
	level int
}

// A frameWriter is a compressing writer that can be used again.
type frameWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

// frameWriters holds a *sync.Pool of frameWriters for each compressor in use. A
// topic's levels are few: those between Kafka's bounds.
var frameWriters sync.Map

// compress appends src, compressed, to dst.
func compress(dst, src []byte, codec int8, level int) []byte {
	c := compressor{codec, level}.merged()
	switch c {
	case compressor{CodecSnappy, DefaultLevel}:
		return append(dst, xerial.Encode(nil, src)...)
	case compressor{CodecZstd, int(zstd.SpeedDefault)}:
		return zstdEncoder.EncodeAll(src, dst)
	}
	pool, ok := frameWriters.Load(c)
	if !ok {
		pool, _ = frameWriters.LoadOrStore(c, &sync.Pool{New: func() any { return c.open() }})
	}
	w := pool.(*sync.Pool).Get().(frameWriter)
	defer pool.(*sync.Pool).Put(w)
	out := bytes.NewBuffer(dst)
	w.Reset(out)
	if _, err := w.Write(src); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	w.Reset(io.Discard) // lets go of the bytes
	return out.Bytes()
}

// merged gives levels that this program's libraries do not tell apart one number.
func (c compressor) merged() compressor {
	switch c.codec {
	case CodecSnappy:
		c.level = DefaultLevel
	case CodecGzip:
		if c.level == DefaultLevel {
			c.level = gzip.DefaultCompression
		}
	case CodecLZ4:
		// Kafka's default, 9, is its fast compressor; every other level searches.
		if c.level == kafkaLZ4Fast {
			c.level = DefaultLevel
		}
		c.level = min(c.level, len(lz4Levels)-1)
	case CodecZstd:
		if c.level == DefaultLevel {
			c.level = 3
		}
		c.level = int(zstd.EncoderLevelFromZstd(c.level))
	}
	return c
}

// kafkaLZ4Fast is compression.lz4.level's default. Source: Lz4BlockOutputStream.
const kafkaLZ4Fast = 9

var lz4Levels = [...]lz4.CompressionLevel{lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}

// open makes a writer. Its lz4 frames are those of Kafka's own writer:
// independent blocks of 64 KiB without checksums. Source: Lz4BlockOutputStream.
func (c compressor) open() frameWriter {
	var w frameWriter
	var err error
	switch c.codec {
	case CodecGzip:
		w, err = gzip.NewWriterLevel(nil, c.level)
	case CodecLZ4:
		lz := lz4.NewWriter(nil)
		w, err = lz, lz.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.CompressionLevelOption(lz4Levels[c.level]))
	case CodecZstd:
		// One at a time: a stream keeps no goroutine and no channel.
		w, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(zstd.EncoderLevel(c.level)))
	default:
		panic(fmt.Sprintf("record: codec %d is unknown", c.codec))
	}
	if err != nil {
		panic(err) // the levels were checked where the setting was
	}
	return w
}

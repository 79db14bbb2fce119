package cluster

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// stateVersion is the newest form of the state file this program knows.
const stateVersion = 1

var (
	errNewerState = errors.New("metadata state file is of a newer version")
	errTornState  = errors.New("metadata state file is damaged")
)

// headBucket holds one entry, headKey: the head.
var headBucket, headKey = "head", []byte("head")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A head is what the state file says of itself, and the small parts of the image.
type head struct {
	Version        int              `json:"v"`
	Offset         int64            `json:"offset"`
	Digest         uint64           `json:"digest"` // sum of the hashes of all other entries
	ClusterID      string           `json:"clusterId"`
	NextProducerID int64            `json:"nextProducerId"`
	Features       map[string]int16 `json:"features"`
}

// A stateFile keeps the newest image in bbolt, so that a start replays only the
// tail of the log.
//
// It is a cache: the log is the truth. So it is written now and then, not at each
// command, and a damaged file is thrown away and built again. A checksum of the
// whole file stands beside it and is compared before bbolt sees a byte: bbolt makes
// pointers of what it reads, and a wrong one ends the process.
type stateFile struct {
	path string
	db   *bolt.DB
}

// openState opens or makes the state file and returns the image it holds. A
// damaged file is replaced by an empty one; why says so.
//
// Errors: errNewerState; whatever keeps the file from being opened.
func openState(path string) (s *stateFile, img *Image, why error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, nil, err
	}
	db, img, err := loadState(path)
	if err == nil {
		return &stateFile{path: path, db: db}, img, nil, nil
	}
	if errors.Is(err, errNewerState) || errors.Is(err, bolterrors.ErrTimeout) || errors.Is(err, fs.ErrPermission) {
		return nil, nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	s = &stateFile{path: path}
	return s, newImage(), err, s.reset()
}

// reset replaces the file by an empty one.
func (s *stateFile) reset() error {
	if err := s.close(); err != nil {
		return err
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openBolt(s.path)
	s.db = db
	if err != nil {
		return err
	}
	return s.seal()
}

// sealSuffix is behind the state file's name in that of its checksum.
const sealSuffix = ".crc"

// seal writes the checksum of the file. It is not synced, and not written together
// with the file: where one of the two is older, the file is built again.
func (s *stateFile) seal() error {
	sum, err := checksumOf(s.path)
	if err != nil {
		return err
	}
	return os.WriteFile(s.path+sealSuffix, sum, 0o600)
}

// checkSeal compares a file, if there is one, with its checksum.
func checkSeal(path string) error {
	sum, err := checksumOf(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	sealed, err := os.ReadFile(path + sealSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(sum, sealed) {
		return fmt.Errorf("checksum %q, want %q: %w", sum, sealed, errTornState)
	}
	return nil
}

// checksumOf is the CRC-32C of a file as eight hexadecimal digits.
func checksumOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	sum := crc32.New(castagnoli)
	_, err = io.Copy(sum, f)
	return fmt.Appendf(nil, "%08x", sum.Sum32()), errors.Join(err, f.Close())
}

func (s *stateFile) close() error {
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return db.Close()
}

// openBolt turns what a damaged file does to bbolt, a panic or a fault of the
// mapped memory, into an error.
func openBolt(path string) (db *bolt.DB, err error) {
	defer guardDamage(&err)()
	return bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
}

// guardDamage makes panics and memory faults an error until the returned
// function runs, deferred.
func guardDamage(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			*err = fmt.Errorf("%v: %w", p, errTornState)
		}
	}
}

// loadState reads the whole file.
func loadState(path string) (db *bolt.DB, img *Image, err error) {
	if err := checkSeal(path); err != nil {
		return nil, nil, err
	}
	db, err = openBolt(path)
	if err != nil {
		return nil, nil, err
	}
	if img, err = readState(db); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, img, nil
}

func readState(db *bolt.DB) (img *Image, err error) {
	defer guardDamage(&err)()
	img = newImage()
	err = db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte(headBucket))
		if bucket == nil {
			return nil // new file
		}
		h, err := decodeHead(bucket.Get(headKey))
		if err != nil {
			return err
		}
		var digest uint64
		for _, name := range []string{brokerParts, leftParts, topicParts, deadParts, configParts, quotaParts} {
			sum, err := readParts(tx, name, img)
			if err != nil {
				return err
			}
			digest += sum
		}
		if digest != h.Digest {
			return fmt.Errorf("digest %x, want %x: %w", digest, h.Digest, errTornState)
		}
		img.Offset, img.ClusterID, img.nextProducerID = h.Offset, h.ClusterID, h.NextProducerID
		for name, level := range h.Features {
			img.finalize(name, level)
		}
		return nil
	})
	return img, err
}

// readParts fills img with one bucket and returns the sum of its hashes.
func readParts(tx *bolt.Tx, name string, img *Image) (digest uint64, err error) {
	bucket := tx.Bucket([]byte(name))
	if bucket == nil {
		return 0, nil
	}
	err = bucket.ForEach(func(key, value []byte) error {
		p := part{name, string(key)}
		digest += p.hash(value)
		if err := img.decodePart(p, value); err != nil {
			return fmt.Errorf("%s %q: %w: %w", p.bucket, p.key, err, errTornState)
		}
		return nil
	})
	return digest, err
}

// save writes the parts that changed and the head in one transaction.
func (s *stateFile) save(img *Image, dirty map[part]struct{}) (err error) {
	if s.db == nil {
		return fmt.Errorf("%s is not open: %w", s.path, errTornState)
	}
	defer guardDamage(&err)()
	err = s.db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte(headBucket))
		if err != nil {
			return err
		}
		var digest uint64
		if old := bucket.Get(headKey); old != nil {
			h, err := decodeHead(old)
			if err != nil {
				return err
			}
			digest = h.Digest
		}
		for p := range dirty {
			change, err := putPart(tx, p, img.encodePart(p))
			if err != nil {
				return err
			}
			digest += change
		}
		return bucket.Put(headKey, encodeHead(head{
			Version: stateVersion, Offset: img.Offset, Digest: digest,
			ClusterID: img.ClusterID, NextProducerID: img.nextProducerID, Features: img.features,
		}))
	})
	if err != nil {
		return err
	}
	return s.seal()
}

// putPart writes a part, nil for one that is gone, and returns how the digest
// changes.
func putPart(tx *bolt.Tx, p part, value []byte) (change uint64, err error) {
	bucket, err := tx.CreateBucketIfNotExists([]byte(p.bucket))
	if err != nil {
		return 0, err
	}
	if old := bucket.Get([]byte(p.key)); old != nil {
		change -= p.hash(old)
	}
	if value == nil {
		return change, bucket.Delete([]byte(p.key))
	}
	return change + p.hash(value), bucket.Put([]byte(p.key), value)
}

func (p part) hash(value []byte) uint64 {
	h := fnv.New64a()
	for _, b := range [][]byte{[]byte(p.bucket), {0}, []byte(p.key), {0}, value} {
		h.Write(b) // never fails (hash.Hash)
	}
	return h.Sum64()
}

// encodeHead is a CRC-32C and the head as JSON.
func encodeHead(h head) []byte {
	body := mustJSON(h)
	return append(binary.BigEndian.AppendUint32(nil, crc32.Checksum(body, castagnoli)), body...)
}

func decodeHead(b []byte) (h head, err error) {
	if len(b) < 4 || crc32.Checksum(b[4:], castagnoli) != binary.BigEndian.Uint32(b) {
		return h, fmt.Errorf("head of %d bytes: %w", len(b), errTornState)
	}
	if err := json.Unmarshal(b[4:], &h); err != nil {
		return h, fmt.Errorf("head: %w: %w", err, errTornState)
	}
	if h.Version > stateVersion {
		return h, fmt.Errorf("version %d, this program knows %d: %w", h.Version, stateVersion, errNewerState)
	}
	return h, nil
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("cluster: state does not encode: " + err.Error()) // our own types always do
	}
	return b
}

// encodePart is the value of a part, nil if the image has it no more.
func (i *Image) encodePart(p part) []byte {
	switch p.bucket {
	case brokerParts:
		id, _ := strconv.ParseInt(p.key, 10, 32) // made by brokerKey
		if b, ok := i.brokers[int32(id)]; ok {
			return mustJSON(b)
		}
	case leftParts:
		id, _ := strconv.ParseInt(p.key, 10, 32)
		if i.Left(int32(id)) {
			return []byte("{}")
		}
	case topicParts, deadParts:
		id, err := ParseUUID(p.key)
		if err != nil {
			return nil
		}
		if t, ok := i.ids[id]; ok && p.bucket == topicParts {
			return mustJSON(t)
		}
		if d, ok := i.dead[id]; ok && p.bucket == deadParts {
			return mustJSON(d)
		}
	case quotaParts:
		if q, ok := i.quotas[p.key]; ok {
			return mustJSON(q)
		}
	case configParts:
		if values, ok := i.configs[parseConfigKey(p.key)]; ok {
			return mustJSON(values)
		}
	}
	return nil
}

// decodePart puts a stored part into the image.
func (i *Image) decodePart(p part, value []byte) error {
	switch p.bucket {
	case brokerParts:
		b := &Broker{}
		if err := json.Unmarshal(value, b); err != nil {
			return err
		}
		i.brokers[b.ID] = b
	case leftParts:
		id, err := strconv.ParseInt(p.key, 10, 32)
		if err != nil {
			return err
		}
		i.left[int32(id)] = struct{}{}
	case topicParts:
		t := &Topic{}
		if err := json.Unmarshal(value, t); err != nil {
			return err
		}
		t.numbered()
		i.topics[t.Name], i.ids[t.ID] = t, t
	case deadParts:
		var d DeadTopic
		if err := json.Unmarshal(value, &d); err != nil {
			return err
		}
		i.dead[d.ID] = d
	case quotaParts:
		q := &Quota{}
		if err := json.Unmarshal(value, q); err != nil {
			return err
		}
		i.quotas[q.Entity.key()] = q
	case configParts:
		var values map[string]string
		if err := json.Unmarshal(value, &values); err != nil {
			return err
		}
		i.configs[parseConfigKey(p.key)] = values
	}
	return nil
}

func parseConfigKey(key string) Resource {
	kind, name, _ := strings.Cut(key, "/") // made by configKey
	n, _ := strconv.ParseInt(kind, 10, 8)
	return Resource{Type: ResourceType(n), Name: name}
}

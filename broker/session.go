package broker

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sessionIdle is how long a fetch session must be unused before a new one may
// take its place (min.incremental.fetch.session.eviction.ms).
const sessionIdle = 2 * time.Minute

// A fetchKey names a partition within a session: by topic name up to v12, by
// topic id from v13 on.
type fetchKey struct {
	name      string
	id        cluster.UUID
	partition int32
}

// A fetchPart is one partition of a fetch: what the client asked, and in a
// session what it was told last.
type fetchPart struct {
	key   fetchKey
	asked kmsg.FetchRequestTopicPartition

	told                     bool
	highWatermark, startTold int64
}

// A fetchSession remembers the partitions of a consumer, so that a request names
// only what changed and an answer only what is new (KIP-227).
//
// The cache's mutex guards it; while a request uses it, busy is set and parts
// belong to that request.
type fetchSession struct {
	id    int32
	epoch int32 // that the next request must have
	byID  bool  // v13+: the parts are named by topic id
	used  time.Time
	busy  bool
	parts []*fetchPart // in the order in which they are served
	index map[fetchKey]*fetchPart
}

// A sessionCache holds the fetch sessions of a broker, a bounded number.
type sessionCache struct {
	mu       sync.Mutex
	sessions map[int32]*fetchSession
}

func newSessionCache() *sessionCache { return &sessionCache{sessions: map[int32]*fetchSession{}} }

// A fetching is the list of partitions that one Fetch serves.
type fetching struct {
	session *fetchSession // nil: none
	// id is what the answer tells; 0 is no session.
	id int32
	// incremental: only what is new is answered.
	incremental bool
	parts       []*fetchPart
}

// begin finds out what a request fetches, and changes its session as it says.
//
// Errors: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH,
// FETCH_SESSION_TOPIC_ID_ERROR. Source: KIP-227, FetchManager.
func (c *sessionCache) begin(req *kmsg.FetchRequest, slots int32) (fetching, error) {
	byID := req.Version >= 13
	if req.Version < 7 || req.SessionEpoch == -1 || req.SessionEpoch == 0 {
		if req.SessionID != 0 {
			c.drop(req.SessionID)
		}
		f := fetching{parts: partsOf(req, nil)}
		if req.Version >= 7 && req.SessionEpoch == 0 && len(f.parts) > 0 {
			f.session = c.open(f.parts, byID, int(slots))
		}
		if f.session != nil {
			f.id = f.session.id
		}
		return f, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[req.SessionID]
	switch {
	case s == nil:
		return fetching{}, kerr.FetchSessionIDNotFound
	case s.epoch != req.SessionEpoch || s.busy:
		return fetching{}, kerr.InvalidFetchSessionEpoch
	case s.byID != byID:
		return fetching{}, kerr.FetchSessionTopicIDError
	}
	s.epoch = nextEpoch(s.epoch)
	s.used, s.busy = time.Now(), true
	s.forget(req)
	partsOf(req, s)
	return fetching{session: s, id: s.id, incremental: true, parts: s.parts}, nil
}

// nextEpoch counts up from 1 and wraps to 1.
func nextEpoch(epoch int32) int32 {
	if epoch == 1<<31-1 {
		return 1
	}
	return epoch + 1
}

// partsOf lists the partitions of a request, in its order, each once. Into a
// session they are merged.
func partsOf(req *kmsg.FetchRequest, s *fetchSession) []*fetchPart {
	var parts []*fetchPart
	if s == nil {
		s = &fetchSession{index: map[fetchKey]*fetchPart{}}
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		for _, asked := range t.Partitions {
			key := fetchKey{t.Topic, t.TopicID, asked.Partition}
			asked.UnknownTags = kmsg.Tags{} // they would hold the frame
			if known := s.index[key]; known != nil {
				known.asked = asked
				continue
			}
			part := &fetchPart{key: key, asked: asked}
			s.index[key] = part
			s.parts = append(s.parts, part)
		}
	}
	parts = s.parts
	return parts
}

// forget removes the partitions that the request no longer wants.
func (s *fetchSession) forget(req *kmsg.FetchRequest) {
	gone := false
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, partition := range t.Partitions {
			delete(s.index, fetchKey{t.Topic, t.TopicID, partition})
			gone = true
		}
	}
	if !gone {
		return
	}
	kept := make([]*fetchPart, 0, len(s.index))
	for _, part := range s.parts {
		if s.index[part.key] == part {
			kept = append(kept, part)
		}
	}
	s.parts = kept
}

// open makes a session, or returns nil when all slots are in use.
func (c *sessionCache) open(parts []*fetchPart, byID bool, slots int) *fetchSession {
	index := make(map[fetchKey]*fetchPart, len(parts))
	for _, part := range parts {
		index[part.key] = part
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sessions) >= slots && !c.evict() {
		return nil
	}
	id := rand.Int32N(1<<31-1) + 1
	for c.sessions[id] != nil {
		id = rand.Int32N(1<<31-1) + 1
	}
	s := &fetchSession{id: id, epoch: 1, byID: byID, used: time.Now(), busy: true, parts: parts, index: index}
	c.sessions[id] = s
	return s
}

// evict removes the session unused for longest, if that is long enough.
func (c *sessionCache) evict() bool {
	var oldest *fetchSession
	for _, s := range c.sessions {
		if !s.busy && (oldest == nil || s.used.Before(oldest.used)) {
			oldest = s
		}
	}
	if oldest == nil || time.Since(oldest.used) < sessionIdle {
		return false
	}
	delete(c.sessions, oldest.id)
	return true
}

func (c *sessionCache) drop(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, id)
}

// end gives the session back. Partitions that sent records go to the end, so
// that the next answer begins with the others; sent is asked for each by its place.
func (c *sessionCache) end(f fetching, sent func(i int) bool) {
	if f.session == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := f.session
	s.used, s.busy = time.Now(), false
	var last []*fetchPart
	for i, part := range f.parts {
		if sent(i) {
			last = append(last, part)
		}
	}
	if len(last) == 0 || len(last) == len(f.parts) {
		return
	}
	first := make([]*fetchPart, 0, len(f.parts))
	for i, part := range f.parts {
		if !sent(i) {
			first = append(first, part)
		}
	}
	s.parts = append(first, last...)
}

// count is the number of sessions.
func (c *sessionCache) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

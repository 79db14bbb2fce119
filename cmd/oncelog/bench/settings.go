package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Kind is what a run measures.
type Kind string

const (
	// Produce measures writing: from the time a record is due to its answer.
	Produce Kind = "produce"
	// Consume measures reading back what the run has written before.
	Consume Kind = "consume"
	// EndToEnd measures from the time a record is due to its being read.
	EndToEnd Kind = "e2e"
	// Txn measures transactions: from the time one is due to the answer of its
	// end, and until readers of committed data have it.
	Txn Kind = "txn"
)

// Seconds is a duration that JSON shows as seconds.
type Seconds time.Duration

// MarshalJSON writes seconds with a fraction.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(s).Seconds())
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return err
	}
	*s = Seconds(seconds * float64(time.Second))
	return nil
}

// Settings say what a run does; its report repeats them.
type Settings struct {
	Topic           string  `json:"topic"` // "": one of its own, removed at the end
	Partitions      int32   `json:"partitions"`
	Replicas        int16   `json:"replication_factor"` // -1: the broker's default
	Size            int     `json:"size"`               // bytes of a record's value
	Producers       int     `json:"producers"`
	Consumers       int     `json:"consumers"`
	Rate            float64 `json:"rate"` // records, or transactions, a second of all producers; 0: as fast as possible
	Warmup          Seconds `json:"warmup_seconds"`
	Duration        Seconds `json:"duration_seconds"` // 0: until Records
	Records         int64   `json:"records"`          // 0: until Duration
	Acks            string  `json:"acks"`             // all, 1 or 0
	Compression     string  `json:"compression"`
	BatchBytes      int32   `json:"batch_bytes"`
	Linger          Seconds `json:"linger_seconds"`
	MaxBuffered     int     `json:"max_buffered"` // records that a producer holds
	TransactionSize int     `json:"transaction_size"`
	AbortRatio      float64 `json:"abort_ratio"`
	ReadBack        bool    `json:"read_back"` // produce: read what was written and check it

	AllowRemote bool `json:"-"` // put load on a cluster that is not on this machine
}

// Default are the settings of a kind when nothing else is asked for.
func Default(kind Kind) Settings {
	s := Settings{
		Partitions: 6, Replicas: -1, Size: 1024, Producers: 1, Consumers: 1, Acks: "all", Compression: "none",
		BatchBytes: 1 << 20, MaxBuffered: 10_000, TransactionSize: 10,
		Warmup: Seconds(time.Second), Duration: Seconds(10 * time.Second),
	}
	switch kind {
	case Consume:
		s.Records, s.Duration, s.Warmup = 500_000, 0, 0
	case EndToEnd:
		s.Rate = 1000
	}
	return s
}

// ErrSettings says that settings make no sense.
var ErrSettings = errors.New("wrong settings")

// Check refuses settings that make no sense.
func (s Settings) Check(kind Kind) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrSettings, fmt.Sprintf(format, args...))
	}
	_, known := codecs[s.Compression]
	switch {
	case !known:
		return bad("compression is %q, want none, gzip, snappy, lz4 or zstd", s.Compression)
	case s.Acks != "all" && s.Acks != "1" && s.Acks != "0":
		return bad("acks is %q, want all, 1 or 0", s.Acks)
	case s.Partitions < 1:
		return bad("partitions is %d, want at least 1", s.Partitions)
	case s.Size < headerSize:
		return bad("size is %d, want at least %d: a record says who wrote it and when", s.Size, headerSize)
	case s.Producers < 1 || s.Consumers < 1:
		return bad("%d producers and %d consumers, want at least 1 of each", s.Producers, s.Consumers)
	case s.Rate < 0 || s.Rate > 1e9:
		return bad("rate is %g, want 0 (as fast as possible) to 1e9 a second", s.Rate)
	case s.Duration < 0 || s.Warmup < 0 || s.Linger < 0:
		return bad("a duration is negative")
	case kind == Consume && s.Records == 0 && s.Topic == "":
		return bad("records is 0: consume writes that many to a topic of its own, and only of a given topic it reads what is there")
	case s.Records < 0 || s.Records == 0 && s.Duration == 0 && kind != Consume:
		return bad("records is %d and duration %v, want an end", s.Records, time.Duration(s.Duration))
	case s.MaxBuffered < 1:
		return bad("max-buffered is %d, want at least 1", s.MaxBuffered)
	case kind == Txn && s.Acks != "all":
		return bad("acks is %s, transactions want all", s.Acks)
	case s.TransactionSize < 1:
		return bad("transaction-size is %d, want at least 1", s.TransactionSize)
	case s.AbortRatio < 0 || s.AbortRatio > 1:
		return bad("abort-ratio is %g, want 0 to 1", s.AbortRatio)
	}
	return nil
}

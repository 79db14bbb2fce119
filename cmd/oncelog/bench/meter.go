package bench

import (
	"math"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longest is the highest latency that is told apart from longer ones.
const longest = 10 * time.Minute

// newHistogram tells latencies from a microsecond up to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(longest), 3)
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// A meter counts what is done within the measured time, which begins after the
// warm-up. Throughput is what ends within it. Latencies are of all that was due
// within it, also of what ends later: else a stall at the end would not count.
//
// Times are since the run began. Any number of goroutines may use it.
type meter struct {
	began time.Time

	mu       sync.Mutex
	started  time.Duration // the warm-up
	from, to time.Duration // of the measured time
	last     time.Duration // when something was last done within it
	records  int64
	bytes    int64
	commits  int64
	aborts   int64
	errors   int64
	failure  error // the first
	late     time.Duration
	spread   map[string]*hdrhistogram.Histogram
	series   []Second
	second   *hdrhistogram.Histogram // of the last of series
}

// newMeter counts nothing but errors until start.
func newMeter() *meter {
	return &meter{began: time.Now(), from: never, to: never, spread: map[string]*hdrhistogram.Histogram{}, second: newHistogram()}
}

func (m *meter) now() time.Duration { return time.Since(m.began) }

// start begins the warm-up now. A duration of 0 has no end.
func (m *meter) start(warmup, duration time.Duration) (start, end time.Duration) {
	start = m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started, m.from = start, start+warmup
	if duration > 0 {
		m.to = m.from + duration
	}
	return start, m.to
}

// end bounds the measured time, when it was not known before.
func (m *meter) end(at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.to = min(m.to, at)
}

// took notes one latency of a name.
func (m *meter) took(name string, due, at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latency(name, due, at)
}

func (m *meter) latency(name string, due, at time.Duration) {
	if due < m.from || due >= m.to {
		return
	}
	record(m.histogram(name), at-due)
}

func (m *meter) histogram(name string) *hdrhistogram.Histogram {
	h := m.spread[name]
	if h == nil {
		h = newHistogram()
		m.spread[name] = h
	}
	return h
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(int64(min(max(d, 0), longest))); err != nil {
		panic(err) // the range was just bounded
	}
}

// done notes that records of so many bytes were done at a time, with the
// latency of name, if any, since they were due.
func (m *meter) done(name string, due, at time.Duration, records, bytes int) {
	if due == before {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if name != "" {
		m.latency(name, due, at)
	}
	second := m.at(at)
	if second == nil {
		return
	}
	m.last = max(m.last, at)
	m.records += int64(records)
	m.bytes += int64(bytes)
	second.Records += int64(records)
	second.Bytes += int64(bytes)
	if name != "" && due >= m.from {
		record(m.second, at-due)
	}
}

// ended notes the end of a transaction.
func (m *meter) ended(commit bool, at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at < m.from || at >= m.to {
		return
	}
	if commit {
		m.commits++
	} else {
		m.aborts++
	}
}

// failed notes an error; the first one is told.
func (m *meter) failed(err error) {
	at := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.errors++
	if m.failure == nil {
		m.failure = err
	}
	if second := m.at(at); second != nil {
		second.Errors++
	}
}

// failures is the number of errors.
func (m *meter) failures() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.errors
}

// first notes when a consumer had its first record.
func (m *meter) first(at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	record(m.histogram("first_record"), at-m.started)
}

// lagged notes how late the run itself was to send something.
func (m *meter) lagged(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.late = max(m.late, d)
}

// at is the second of the series that a time lies in, nil outside of the
// measured time. Seconds in which nothing was done are there too. What comes a
// little late from another goroutine is counted in the newest second.
func (m *meter) at(at time.Duration) *Second {
	if at < m.from || at >= m.to {
		return nil
	}
	for n := int64((at - m.from) / time.Second); int64(len(m.series)) <= n; {
		m.closeSecond()
		m.series = append(m.series, Second{Second: int64(len(m.series))})
	}
	return &m.series[len(m.series)-1]
}

// closeSecond writes the latencies of the newest second into it.
func (m *meter) closeSecond() {
	if len(m.series) == 0 {
		return
	}
	newest := &m.series[len(m.series)-1]
	newest.P50, newest.P99, newest.Max = ms(m.second, 50), ms(m.second, 99), ms(m.second, 100)
	m.second.Reset()
}

// latest is the newest second that is over, for progress.
func (m *meter) latest() (Second, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at(m.now())
	if len(m.series) < 2 {
		return Second{}, false
	}
	return m.series[len(m.series)-2], true
}

// fill writes the figures into a report.
func (m *meter) fill(r *Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	end := m.to
	if end == never {
		end = m.last + 1
	}
	length := max(0, end-m.from)
	if m.at(end-1) != nil {
		m.series = m.series[:(length+time.Second-1)/time.Second]
		m.closeSecond()
	}
	r.Seconds = length.Seconds()
	r.Records, r.Bytes, r.Errors = m.records, m.bytes, m.errors
	r.SenderLate = millis(m.late)
	r.Series = append([]Second{}, m.series...)
	if m.failure != nil {
		r.FirstError = m.failure.Error()
	}
	if r.Seconds > 0 {
		r.RecordsPerSecond = float64(m.records) / r.Seconds
		r.MBPerSecond = float64(m.bytes) / 1e6 / r.Seconds
	}
	if r.Bench == Txn {
		r.Transactions = &Transactions{Committed: m.commits, Aborted: m.aborts}
		if r.Seconds > 0 {
			r.Transactions.CommitsPerSecond = float64(m.commits) / r.Seconds
		}
	}
	r.Latency = map[string]Latency{}
	for name, h := range m.spread {
		r.Latency[name] = Latency{
			Count: h.TotalCount(), Mean: h.Mean() / 1e6,
			P50: ms(h, 50), P90: ms(h, 90), P99: ms(h, 99), P999: ms(h, 99.9), Max: ms(h, 100),
		}
	}
}

// ms is a percentile in milliseconds.
func ms(h *hdrhistogram.Histogram, percentile float64) float64 {
	if h.TotalCount() == 0 {
		return 0
	}
	return millis(time.Duration(h.ValueAtPercentile(percentile)))
}

// millis rounds to a microsecond: what lies below is the clock's noise.
func millis(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / 1e6 }

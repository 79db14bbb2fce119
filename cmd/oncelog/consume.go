package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeFlags are the flags of the consume command.
type consumeFlags struct {
	group       string
	offset      string
	count       int
	exit        bool
	uncommitted bool
	control     bool
	format      string
	json        bool
}

func (a *app) consumeCommand() *cobra.Command {
	var f consumeFlags
	cmd := a.clientFlagsOn(&cobra.Command{
		Use:   "consume TOPIC...",
		Short: "Print records, by default only committed ones",
		Long: `Print records as they come, by default only those that committed transactions
made visible; --read-uncommitted shows all of them.

--offset: start, end, -N (the last N of each partition), @MILLIS (from a time),
or a number. With --group the group's own offsets win where it has any.

--format: %t topic, %p partition, %o offset, %T timestamp in ms, %k key,
%v value, %h headers, \n and \t.`,
		Example: "  oncelog consume orders -e\n  oncelog consume orders --show-control --read-uncommitted -e",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, topics []string) error {
			return a.consume(cmd.Context(), topics, &f)
		},
	})
	flags := cmd.Flags()
	flags.StringVarP(&f.group, "group", "g", "", "consume as a member of this group and commit")
	flags.StringVarP(&f.offset, "offset", "o", "start", "where to start")
	flags.IntVarP(&f.count, "count", "n", 0, "stop after this many records; 0 for no bound")
	flags.BoolVarP(&f.exit, "exit-at-end", "e", false, "stop at the end that each partition has now")
	flags.BoolVar(&f.uncommitted, "read-uncommitted", false, "show open and aborted transactions too")
	flags.BoolVar(&f.control, "show-control", false, "show the control records that end transactions")
	flags.StringVarP(&f.format, "format", "f", `%t-%p %o %k %v\n`, "how a record is printed")
	flags.BoolVarP(&f.json, "json", "J", false, "print each record as a JSON object")
	return cmd
}

// start turns --offset into the client's offset.
func (f *consumeFlags) start() (kgo.Offset, error) {
	none := kgo.NewOffset()
	switch {
	case f.offset == "start":
		return none.AtStart(), nil
	case f.offset == "end":
		return none.AtEnd(), nil
	case strings.HasPrefix(f.offset, "@"):
		ms, err := strconv.ParseInt(f.offset[1:], 10, 64)
		if err != nil {
			return none, usage("--offset %q, want @ and milliseconds since 1970", f.offset)
		}
		return none.AfterMilli(ms), nil
	}
	n, err := strconv.ParseInt(f.offset, 10, 64)
	switch {
	case err != nil:
		return none, usage("--offset %q, want start, end, -N, @MILLIS or a number", f.offset)
	case n < 0:
		return none.AtEnd().Relative(n), nil
	}
	return none.At(n), nil
}

func (f *consumeFlags) options(topics []string) ([]kgo.Opt, error) {
	start, err := f.start()
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(start), kgo.FetchMaxWait(500 * time.Millisecond)}
	if !f.uncommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if f.control || f.exit {
		// An end may lie behind a control record, so -e has to see them.
		opts = append(opts, kgo.KeepControlRecords())
	}
	if f.group != "" {
		opts = append(opts, kgo.ConsumerGroup(f.group), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll())
	}
	return opts, nil
}

func (a *app) consume(ctx context.Context, topics []string, f *consumeFlags) error {
	opts, err := f.options(topics)
	if err != nil {
		return err
	}
	client, err := a.dial(ctx, opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	var ends *remaining
	if f.exit {
		if ends, err = endsOf(ctx, client, topics, f); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(a.out)
	err = f.poll(ctx, client, out, ends)
	if f.group != "" {
		err = errors.Join(err, commit(client))
		client.AllowRebalance()
	}
	return errors.Join(err, out.Flush())
}

// commit stores the group's position, also after an interrupt.
func commit(client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return client.CommitUncommittedOffsets(ctx)
}

// poll prints records until a bound is reached or ctx ends, which is no error.
func (f *consumeFlags) poll(ctx context.Context, client *kgo.Client, out *bufio.Writer, ends *remaining) error {
	printed := 0
	for ends == nil || !ends.reached() {
		fetches := client.PollRecords(ctx, f.count-printed) // what is polled is committed, so no more than is printed
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			record := iter.Next()
			if !ends.has(record) {
				continue
			}
			if record.Attrs.IsControl() && !f.control {
				continue
			}
			if err := f.write(out, record); err != nil {
				return err
			}
			if printed++; printed == f.count {
				return nil
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if f.group != "" {
			if err := client.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			client.AllowRebalance()
		}
	}
	return nil
}

// remaining tracks, for --exit-at-end, the partitions that still have records
// below the end they had at the start. A nil one has no bound.
type remaining struct {
	ends map[string]map[int32]int64
	open int
}

// has notes that a record was seen and says whether it lies below the end.
func (r *remaining) has(record *kgo.Record) bool {
	if r == nil {
		return true
	}
	end, open := r.ends[record.Topic][record.Partition]
	if !open || record.Offset >= end {
		return false
	}
	if record.Offset == end-1 {
		delete(r.ends[record.Topic], record.Partition)
		r.open--
	}
	return true
}

func (r *remaining) reached() bool { return r.open == 0 }

// endsOf asks for the current end of each partition that has anything to read
// from where the flags start.
func endsOf(ctx context.Context, client *kgo.Client, topics []string, f *consumeFlags) (*remaining, error) {
	if f.group != "" {
		return nil, usage("--exit-at-end goes with no --group: a member owns only some partitions")
	}
	admin := kadm.NewClient(client)
	list := admin.ListCommittedOffsets
	if f.uncommitted {
		list = admin.ListEndOffsets
	}
	ends, err := list(ctx, topics...)
	if err != nil {
		return nil, err
	}
	starts, err := f.startsOf(ctx, admin, topics, ends)
	if err != nil {
		return nil, err
	}
	r := &remaining{ends: make(map[string]map[int32]int64)}
	var failure error
	ends.Each(func(end kadm.ListedOffset) {
		start, ok := starts.Lookup(end.Topic, end.Partition)
		switch {
		case end.Err != nil && end.Partition < 0:
			failure = fmt.Errorf("consume %s: %w", end.Topic, end.Err)
		case end.Err != nil:
			failure = fmt.Errorf("%s-%d: %w", end.Topic, end.Partition, end.Err)
		case ok && start.Offset < end.Offset:
			if r.ends[end.Topic] == nil {
				r.ends[end.Topic] = make(map[int32]int64)
			}
			r.ends[end.Topic][end.Partition] = end.Offset
			r.open++
		}
	})
	return r, failure
}

// startsOf resolves --offset to one offset for each partition.
func (f *consumeFlags) startsOf(ctx context.Context, admin *kadm.Client, topics []string, ends kadm.ListedOffsets) (kadm.ListedOffsets, error) {
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	if ms, ok := strings.CutPrefix(f.offset, "@"); ok {
		at, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return nil, usage("--offset %q, want @ and milliseconds since 1970", f.offset)
		}
		return admin.ListOffsetsAfterMilli(ctx, at, topics...)
	}
	if f.offset == "end" {
		return ends, nil
	}
	if n, err := strconv.ParseInt(f.offset, 10, 64); err == nil && n >= 0 {
		for _, partitions := range starts {
			for id, start := range partitions {
				start.Offset = max(start.Offset, n)
				partitions[id] = start
			}
		}
	}
	return starts, nil
}

// controlName names a control record by its key: version, then type.
func controlName(record *kgo.Record) string {
	if len(record.Key) < 4 {
		return "UNKNOWN"
	}
	switch kind := binary.BigEndian.Uint16(record.Key[2:]); kind {
	case 0:
		return "ABORT"
	case 1:
		return "COMMIT"
	default:
		return fmt.Sprintf("TYPE %d", kind)
	}
}

// write prints one record as the flags ask.
func (f *consumeFlags) write(out *bufio.Writer, record *kgo.Record) error {
	if f.json {
		return json.NewEncoder(out).Encode(asJSON(record))
	}
	if record.Attrs.IsControl() {
		_, err := fmt.Fprintf(out, "%s-%d %d -- %s producer id %d epoch %d --\n", record.Topic, record.Partition, record.Offset, controlName(record), record.ProducerID, record.ProducerEpoch)
		return err
	}
	headers := make([]string, len(record.Headers))
	for i, h := range record.Headers {
		headers[i] = h.Key + "=" + string(h.Value)
	}
	_, err := strings.NewReplacer(
		"%t", record.Topic, "%p", strconv.Itoa(int(record.Partition)), "%o", strconv.FormatInt(record.Offset, 10),
		"%T", strconv.FormatInt(record.Timestamp.UnixMilli(), 10), "%k", string(record.Key), "%v", string(record.Value),
		"%h", strings.Join(headers, ","), `\n`, "\n", `\t`, "\t", "%%", "%",
	).WriteString(out, f.format)
	return err
}

func asJSON(record *kgo.Record) jsonRecord {
	line := jsonRecord{Topic: record.Topic, Partition: &record.Partition, Offset: &record.Offset, Timestamp: &record.Timestamp}
	if record.Attrs.IsControl() {
		line.Control = controlName(record)
		return line
	}
	line.Key, line.Value = stringOf(record.Key), stringOf(record.Value)
	if len(record.Headers) > 0 {
		line.Headers = make(map[string]string, len(record.Headers))
	}
	for _, h := range record.Headers {
		line.Headers[h.Key] = string(h.Value)
	}
	return line
}

// stringOf keeps null apart from empty.
func stringOf(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

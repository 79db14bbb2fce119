package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
)

func (a *app) logCommand() *cobra.Command {
	cmd := a.clientFlagsOn(&cobra.Command{Use: "log", Short: "Look into partition logs"})
	a.formatFlag(cmd)
	cmd.AddCommand(a.logDump())
	return cmd
}

// dumpFlags are the flags of log dump.
type dumpFlags struct {
	deep   bool
	decode string
	from   int64
	verify bool
	other  bool // --compare
}

func (a *app) logDump() *cobra.Command {
	var f dumpFlags
	cmd := &cobra.Command{
		Use:   "dump FOLDER|FILE|TOPIC:PARTITION",
		Short: "Show the batches of a log, from its files or from a broker",
		Long: `Show the batches of a log: from a partition's folder or one .log file on disk,
without a broker, or from a running broker by TOPIC:PARTITION.

The records of __consumer_offsets and __transaction_state are decoded; from
files, say which with --decode, as a folder is named by topic id.

With --compare, hold the replicas of a partition against each other: the folders
of one partition, or the data folders of stopped brokers. Above what is compacted
they must be equal byte for byte; below, the newest record of each key must be.
Folders are copied first and left as they are. Exit code 1 tells of a difference.`,
		Example: "  oncelog log dump orders:0 --deep\n  oncelog log dump /var/lib/oncelog/0123...-0 --decode transactions\n  oncelog log dump --verify --compare node1/data node2/data node3/data",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.other {
				return nil
			}
			return exactly("FOLDER|FILE|TOPIC:PARTITION")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.other {
				return a.compare(cmd.Context(), args)
			}
			if f.verify {
				return usage("--verify goes with --compare: of one log, checksums are in its dump")
			}
			out := bufio.NewWriter(a.out)
			d := &dumper{app: a, flags: &f, out: out}
			var err error
			if _, missing := os.Stat(args[0]); missing == nil {
				err = d.files(args[0])
			} else {
				err = d.online(cmd.Context(), args[0])
			}
			if flushed := out.Flush(); err == nil {
				err = flushed
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&f.deep, "deep", false, "the records of each batch too")
	cmd.Flags().StringVar(&f.decode, "decode", "auto", "auto (by topic name), none, offsets or transactions")
	cmd.Flags().BoolVar(&f.verify, "verify", false, "with --compare, which always verifies")
	cmd.Flags().BoolVar(&f.other, "compare", false, "compare replicas: FOLDER FOLDER...")
	cmd.Flags().Int64Var(&f.from, "from", 0, "start at the batch that holds this offset")
	return cmd
}

// A dumper prints batches one after the other.
type dumper struct {
	app     *app
	flags   *dumpFlags
	out     *bufio.Writer
	decode  decoder
	started bool
}

// A batchRow is one batch as log dump shows it.
type batchRow struct {
	File        string      `json:"file,omitempty"`
	Position    int64       `json:"position"`
	BaseOffset  int64       `json:"base_offset"`
	LastOffset  int64       `json:"last_offset"`
	Records     int32       `json:"records"`
	Size        int         `json:"size"`
	ProducerID  int64       `json:"producer_id"`
	Epoch       int16       `json:"producer_epoch"`
	Sequence    int32       `json:"base_sequence"`
	LastSeq     int32       `json:"last_sequence"`
	LeaderEpoch int32       `json:"leader_epoch"`
	Timestamp   int64       `json:"max_timestamp"`
	Codec       string      `json:"codec"`
	Flags       string      `json:"flags"`
	Control     string      `json:"control,omitempty"`
	CRC         string      `json:"crc"`
	Content     []recordRow `json:"content,omitempty"`
}

// A recordRow is one record as --deep shows it.
type recordRow struct {
	Offset    int64  `json:"offset"`
	Timestamp int64  `json:"timestamp"`
	Key       any    `json:"key"`
	Value     any    `json:"value"`
	Headers   int    `json:"headers,omitempty"`
	Problem   string `json:"problem,omitempty"`
}

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// files dumps one .log file, or all of a folder in offset order.
func (d *dumper) files(path string) error {
	if err := d.decoding(""); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	names := []string{path}
	if info.IsDir() {
		if names, err = filepath.Glob(filepath.Join(path, "*.log")); err != nil {
			return err
		}
		if len(names) == 0 {
			return usage("%s holds no .log file; want a partition's folder", path)
		}
		slices.Sort(names)
	}
	for _, name := range names {
		if err := d.file(name); err != nil {
			return err
		}
	}
	return nil
}

// file dumps the whole batches of one file and reports what follows them.
func (d *dumper) file(name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	position := 0
	for position < len(content) {
		batch, err := record.Peek(content[position:])
		if err != nil {
			if rest := content[position:]; len(strings.Trim(string(rest), "\x00")) == 0 {
				return nil // preallocated space
			}
			return failed(exitFailed, "%s: %d bytes at position %d are no whole batch: %w", name, len(content)-position, position, err)
		}
		if err := d.batch(batch, filepath.Base(name), int64(position)); err != nil {
			return err
		}
		position += batch.Size()
	}
	return nil
}

// online dumps a partition from its leader.
func (d *dumper) online(ctx context.Context, arg string) error {
	topic, partition, err := topicPartition(arg)
	if err != nil {
		return usage("%s is neither a file nor TOPIC:PARTITION", arg)
	}
	if err := d.decoding(topic); err != nil {
		return err
	}
	client, err := d.app.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return err
	}
	detail, ok := topics[topic].Partitions[partition]
	switch {
	case topics[topic].Err != nil:
		return failed(exitFailed, "%s: %w", topic, topics[topic].Err)
	case !ok:
		return failed(exitFailed, "%s has no partition %d", topic, partition)
	}
	return d.fetch(ctx, client, topics[topic].ID, detail)
}

// fetch reads the stored batches from the leader until the high watermark.
func (d *dumper) fetch(ctx context.Context, client *kgo.Client, id kadm.TopicID, p kadm.PartitionDetail) error {
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, p.Topic)
	if err != nil {
		return err
	}
	start, _ := starts.Lookup(p.Topic, p.Partition)
	next := max(d.flags.from, start.Offset)
	for position := int64(0); ; {
		answer, err := d.fetchAt(ctx, client, id, p, next)
		if err != nil {
			return err
		}
		raw := answer.RecordBatches
		for len(raw) > 0 {
			batch, err := record.Peek(raw)
			if err != nil {
				break // the last batch of an answer may be cut
			}
			if err := d.batch(batch, "", position); err != nil {
				return err
			}
			next, raw, position = batch.NextOffset(), raw[batch.Size():], position+int64(batch.Size())
		}
		if next >= answer.HighWatermark {
			return d.watermarks(answer, next)
		}
		if len(answer.RecordBatches) == 0 {
			return failed(exitFailed, "%s-%d: the leader sent nothing from offset %d though its high watermark is %d", p.Topic, p.Partition, next, answer.HighWatermark)
		}
	}
}

func (d *dumper) fetchAt(ctx context.Context, client *kgo.Client, id kadm.TopicID, p kadm.PartitionDetail, offset int64) (*kmsg.FetchResponseTopicPartition, error) {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis = 100
	request.MaxBytes = 8 << 20
	request.SessionEpoch = -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = p.Topic, id
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition, partition.FetchOffset, partition.PartitionMaxBytes = p.Partition, offset, 8<<20
	topic.Partitions = append(topic.Partitions, partition)
	request.Topics = append(request.Topics, topic)
	answer, err := client.Broker(int(p.Leader)).RetriableRequest(ctx, request)
	if err != nil {
		return nil, err
	}
	response := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return nil, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return nil, failed(exitFailed, "the leader answered for %d topics, want 1", len(response.Topics))
	}
	found := &response.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
		return nil, failed(exitFailed, "fetch %s-%d at %d: %w", p.Topic, p.Partition, offset, err)
	}
	return found, nil
}

// watermarks closes the dump of a live partition.
func (d *dumper) watermarks(p *kmsg.FetchResponseTopicPartition, end int64) error {
	if d.app.format == "json" {
		return nil
	}
	_, err := fmt.Fprintf(d.out, "log start %d  last stable offset %d  high watermark %d  read up to %d\n", p.LogStartOffset, p.LastStableOffset, p.HighWatermark, end)
	return err
}

// batch prints one batch unless it lies before --from.
func (d *dumper) batch(b record.Batch, file string, position int64) error {
	if b.LastOffset() < d.flags.from {
		return nil
	}
	row := rowOf(b, file, position)
	if d.flags.deep {
		row.Content = d.content(b)
	}
	if d.app.format == "json" {
		return d.app.printJSON(row)
	}
	if !d.started {
		d.started = true
		fmt.Fprintf(d.out, "%-21s %-8s %-14s %-15s %-6s %-4s %-6s %-5s %s\n", "OFFSETS", "RECORDS", "PRODUCER/EPOCH", "SEQUENCE", "FLAGS", "CRC", "LEADER", "CODEC", "BYTES")
	}
	records := fmt.Sprint(row.Records)
	if row.Control != "" {
		records = row.Control
	}
	fmt.Fprintf(d.out, "%-21s %-8s %-14s %-15s %-6s %-4s %-6d %-5s %d\n", spanOf(row.BaseOffset, row.LastOffset), records,
		dash(row.ProducerID >= 0, "%d/%d", row.ProducerID, row.Epoch), dash(row.Sequence >= 0, "%d-%d", row.Sequence, row.LastSeq),
		row.Flags, row.CRC, row.LeaderEpoch, row.Codec, row.Size)
	for _, r := range row.Content {
		if r.Problem != "" {
			fmt.Fprintf(d.out, "  ! %s\n", r.Problem)
			continue
		}
		fmt.Fprintf(d.out, "  %d  %v = %v\n", r.Offset, orNull(r.Key), orNull(r.Value))
	}
	return nil
}

func spanOf(first, last int64) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// dash formats values where they mean something.
func dash(meaningful bool, format string, values ...any) string {
	if !meaningful {
		return "-"
	}
	return fmt.Sprintf(format, values...)
}

func rowOf(b record.Batch, file string, position int64) batchRow {
	row := batchRow{
		File: file, Position: position, BaseOffset: b.BaseOffset(), LastOffset: b.LastOffset(), Records: b.Count(), Size: b.Size(),
		ProducerID: b.ProducerID(), Epoch: b.ProducerEpoch(), Sequence: b.BaseSequence(), LastSeq: b.LastSequence(),
		LeaderEpoch: b.LeaderEpoch(), Timestamp: b.MaxTimestamp(), Codec: fmt.Sprint(b.Codec()), CRC: "ok", Flags: flagsOf(b),
	}
	if int(b.Codec()) < len(codecNames) {
		row.Codec = codecNames[b.Codec()]
	}
	if b.CRC() != b.Checksum() {
		row.CRC = "BAD"
	}
	if control, ok, err := b.Control(); err != nil {
		row.Control = "BROKEN"
	} else if ok {
		row.Control = "ABORT"
		if control.Commit {
			row.Control = "COMMIT"
		}
	}
	return row
}

// flagsOf is a letter for each attribute that is set.
func flagsOf(b record.Batch) string {
	flags := ""
	for _, f := range []struct {
		set    bool
		letter string
	}{{b.IsTransactional(), "T"}, {b.IsControl(), "C"}, {b.LogAppendTime(), "A"}, {b.HasDeleteHorizon(), "H"}} {
		if f.set {
			flags += f.letter
		}
	}
	if flags == "" {
		return "-"
	}
	return flags
}

// content decodes the records of a batch as far as they can be decoded.
func (d *dumper) content(b record.Batch) []recordRow {
	rows := []recordRow{}
	for r, err := range b.Records(nil) {
		if err != nil {
			return append(rows, recordRow{Offset: -1, Problem: err.Error()})
		}
		row := recordRow{Offset: r.Offset, Timestamp: r.Timestamp, Headers: len(r.Headers), Key: textOf(r.Key), Value: textOf(r.Value)}
		if d.decode != nil && !b.IsControl() {
			row.Key, row.Value = d.decode(r.Key, r.Value)
		}
		if b.IsControl() {
			row.Key, row.Value = rowOf(b, "", 0).Control, fmt.Sprintf("% x", r.Value)
		}
		rows = append(rows, row)
	}
	return rows
}

// orNull shows what is not there as null.
func orNull(v any) any {
	if v == nil {
		return "null"
	}
	return v
}

// textOf shows bytes as text and null as null.
func textOf(b []byte) any {
	if b == nil {
		return nil
	}
	return string(b)
}

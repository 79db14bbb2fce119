package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxLine bounds one record read from standard input, in bytes.
const maxLine = 64 << 20

// produceFlags are the flags of the produce command.
type produceFlags struct {
	key, keyDelimiter string
	headers           []string
	partition         int32
	acks              string
	input, delimiter  string
	txn               string
	abort, hang       bool
	plain             bool
	codec             string
}

func (a *app) produceCommand() *cobra.Command {
	var f produceFlags
	cmd := a.clientFlagsOn(&cobra.Command{
		Use:   "produce TOPIC",
		Short: "Write records read from standard input, one a line",
		Long: `Write records read from standard input, one a line, and print where each went.

With --txn all records are one transaction: committed at the end of the input,
aborted with --abort, or left open with --hang, as a crashed application would.`,
		Example: "  echo hello | oncelog produce orders -k customer-1\n  seq 10 | oncelog produce orders --txn pay-1 --abort",
		Args:    exactly("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.produce(cmd.Context(), args[0], &f)
		},
	})
	flags := cmd.Flags()
	flags.StringVarP(&f.key, "key", "k", "", "key of every record")
	flags.StringVarP(&f.keyDelimiter, "key-delimiter", "K", "", "split each line into key and value at this text")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "a header of every record, name=value (repeat)")
	flags.Int32VarP(&f.partition, "partition", "p", -1, "write to this partition; -1 chooses by key")
	flags.StringVar(&f.acks, "acks", "all", "0, 1 or all; 0 and 1 also turn idempotence off")
	flags.StringVar(&f.input, "input", "text", "text (a line is a value) or json (a line is an object: key, value, headers, partition)")
	flags.StringVarP(&f.delimiter, "delimiter", "D", "\n", "text that ends a record")
	flags.StringVar(&f.txn, "txn", "", "transactional id: write all records in one transaction")
	flags.BoolVar(&f.abort, "abort", false, "with --txn: abort at the end")
	flags.BoolVar(&f.hang, "hang", false, "with --txn: leave the transaction open")
	flags.BoolVar(&f.plain, "no-idempotence", false, "write without a producer id")
	flags.StringVarP(&f.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	a.formatFlag(cmd)
	return cmd
}

func (f *produceFlags) check() error {
	switch {
	case f.txn == "" && (f.abort || f.hang):
		return usage("--abort and --hang want --txn")
	case f.abort && f.hang:
		return usage("--abort or --hang, not both")
	case f.txn != "" && (f.acks != "all" || f.plain):
		return usage("--txn wants --acks all and idempotence")
	case f.input != "text" && f.input != "json":
		return usage("--input is %q, want text or json", f.input)
	case f.delimiter == "":
		return usage("--delimiter is empty")
	}
	return nil
}

// codecs are the compression codecs by Kafka's names.
var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func (f *produceFlags) options() ([]kgo.Opt, error) {
	codec, ok := codecs[f.codec]
	if !ok {
		return nil, usage("--compression is %q, want none, gzip, snappy, lz4 or zstd", f.codec)
	}
	opts := []kgo.Opt{kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(codec)}
	switch f.acks {
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "all", "-1":
		if f.plain {
			opts = append(opts, kgo.DisableIdempotentWrite())
		}
	default:
		return nil, usage("--acks is %q, want 0, 1 or all", f.acks)
	}
	if f.partition >= 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	if f.txn != "" {
		opts = append(opts, kgo.TransactionalID(f.txn))
	}
	return opts, nil
}

// produced is where one record went.
type produced struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func (a *app) produce(ctx context.Context, topic string, f *produceFlags) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	client, err := a.dial(ctx, opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	if f.txn != "" {
		if err := client.BeginTransaction(); err != nil {
			return fmt.Errorf("begin transaction %s: %w", f.txn, err)
		}
	}
	sent, err := a.send(ctx, client, topic, f)
	if err != nil {
		return errors.Join(err, endQuietly(ctx, client, f))
	}
	return a.endTransaction(ctx, client, f, sent)
}

// endQuietly aborts the transaction of a run that failed.
func endQuietly(ctx context.Context, client *kgo.Client, f *produceFlags) error {
	if f.txn == "" || ctx.Err() != nil {
		return nil
	}
	return client.EndTransaction(ctx, kgo.TryAbort)
}

// send writes what it reads and prints where each record went, in input order.
func (a *app) send(ctx context.Context, client *kgo.Client, topic string, f *produceFlags) (int, error) {
	input := bufio.NewScanner(a.in)
	input.Buffer(make([]byte, 64<<10), maxLine)
	input.Split(splitAt(f.delimiter))
	out := bufio.NewWriter(a.out)
	results := make(chan error, 1)
	sent := 0
	fail := func(err error) {
		select {
		case results <- err:
		default: // the first failure is the one that is told
		}
	}
	for input.Scan() {
		record, err := f.record(topic, input.Text())
		if err != nil {
			return sent, err
		}
		sent++
		client.Produce(ctx, record, func(r *kgo.Record, err error) {
			if err != nil {
				fail(fmt.Errorf("record %q: %w", shorten(r.Value), err))
				return
			}
			a.printProduced(out, produced{r.Topic, r.Partition, r.Offset})
		})
	}
	if err := input.Err(); err != nil {
		return sent, fmt.Errorf("read standard input: %w", err)
	}
	if err := client.Flush(ctx); err != nil {
		return sent, err
	}
	select {
	case err := <-results:
		return sent, errors.Join(err, out.Flush())
	default:
		return sent, out.Flush()
	}
}

// printProduced writes one line; the client calls it for one record at a time.
// What the writer fails with, its Flush returns.
func (a *app) printProduced(out io.Writer, p produced) {
	if a.format == "json" {
		line, err := json.Marshal(p)
		if err != nil {
			panic(err) // three plain fields
		}
		fmt.Fprintf(out, "%s\n", line)
		return
	}
	fmt.Fprintf(out, "%s %d %d\n", p.Topic, p.Partition, p.Offset)
}

// endTransaction ends the transaction as the flags ask and says so.
func (a *app) endTransaction(ctx context.Context, client *kgo.Client, f *produceFlags, sent int) error {
	if f.txn == "" {
		return nil
	}
	switch {
	case f.hang:
		fmt.Fprintf(a.err, "transaction %s left open with %d records; readers of committed data wait behind it until it times out\n", f.txn, sent)
		return nil
	case f.abort:
		if err := client.EndTransaction(ctx, kgo.TryAbort); err != nil {
			return fmt.Errorf("abort transaction %s: %w", f.txn, err)
		}
		fmt.Fprintf(a.err, "transaction %s aborted: %d records written, none visible to readers of committed data\n", f.txn, sent)
		return nil
	}
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit transaction %s: %w", f.txn, err)
	}
	fmt.Fprintf(a.err, "transaction %s committed: %d records\n", f.txn, sent)
	return nil
}

// jsonRecord is one line of --input json, and what consume -J prints.
type jsonRecord struct {
	Topic     string            `json:"topic,omitempty"`
	Partition *int32            `json:"partition,omitempty"`
	Offset    *int64            `json:"offset,omitempty"`
	Timestamp *time.Time        `json:"timestamp,omitempty"`
	Key       *string           `json:"key"`
	Value     *string           `json:"value"`
	Headers   map[string]string `json:"headers,omitempty"`
	Control   string            `json:"control,omitempty"`
}

// record makes one record of one piece of input.
func (f *produceFlags) record(topic, line string) (*kgo.Record, error) {
	record := &kgo.Record{Topic: topic, Partition: max(f.partition, 0)}
	for _, header := range f.headers {
		name, value, ok := strings.Cut(header, "=")
		if !ok {
			return nil, usage("--header %q, want name=value", header)
		}
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	if f.key != "" {
		record.Key = []byte(f.key)
	}
	if f.input == "json" {
		return record, f.fromJSON(record, line)
	}
	record.Value = []byte(line)
	if f.keyDelimiter != "" {
		if key, value, ok := strings.Cut(line, f.keyDelimiter); ok {
			record.Key, record.Value = []byte(key), []byte(value)
		}
	}
	return record, nil
}

func (f *produceFlags) fromJSON(record *kgo.Record, line string) error {
	var given jsonRecord
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&given); err != nil {
		return usage("input line %q: %w", shorten([]byte(line)), err)
	}
	if given.Partition != nil {
		if f.partition < 0 {
			return usage("a partition in the input wants --partition 0 or higher as the default of other records")
		}
		record.Partition = *given.Partition
	}
	if given.Key != nil {
		record.Key = []byte(*given.Key)
	}
	if given.Value != nil {
		record.Value = []byte(*given.Value)
	}
	for name, value := range given.Headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return nil
}

// splitAt splits input at a delimiter; the last piece needs none.
func splitAt(delimiter string) bufio.SplitFunc {
	end := []byte(delimiter)
	return func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.Index(data, end); i >= 0 {
			return i + len(delimiter), data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	}
}

// shorten keeps messages to a line.
func shorten(value []byte) string {
	if len(value) > 40 {
		return string(value[:40]) + "..."
	}
	return string(value)
}

package conformance

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

var txnFlowClient = Case{
	ID:          "txn/flow/6",
	Title:       "a whole client commits, aborts and reads committed records",
	Requirement: "KIP-98, KIP-890; as the client library chooses",
	Level:       Must,
	Run: func(t *T) {
		tp := t.newTopic(2)
		producer := t.client(kgo.TransactionalID(t.name("txid")), kgo.DefaultProduceTopic(tp.name))
		var want []string
		for round := range 4 {
			if err := producer.BeginTransaction(); err != nil {
				t.fatalf("begin", "no error", "%v", err)
			}
			for i := range 3 {
				value := fmt.Sprintf("%d-%d", round, i)
				if err := producer.ProduceSync(t.ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
					t.fatalf("produce", "no error", "%v", err)
				}
				if round%2 == 0 {
					want = append(want, value)
				}
			}
			if err := producer.EndTransaction(t.ctx, kgo.TransactionEndTry(round%2 == 0)); err != nil {
				t.fatalf("end", "no error", "%v", err)
			}
		}
		consumer := t.client(kgo.ConsumeTopics(tp.name), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		var got []string
		ctx, cancel := context.WithTimeout(t.ctx, patience)
		defer cancel()
		for len(got) < len(want) {
			fetches := consumer.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.fatalf("poll", fmt.Sprintf("%d records", len(want)), "%d records and %v", len(got), err)
			}
			fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
		}
		slices.Sort(got)
		t.equal("records shown", got, want)
	},
}

// wholeClient is the client id of whole clients, whose requests nobody chose.
const wholeClient = "oncelog-conformance-client"

// client is a whole kgo client, closed with the case.
func (t *T) client(opts ...kgo.Opt) *kgo.Client {
	opts = append([]kgo.Opt{kgo.SeedBrokers(t.cluster.seeds()...), kgo.ClientID(wholeClient), kgo.Dialer(t.wire.DialContext)}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.fatalf("client", "opened", "%v", err)
	}
	t.clients = append(t.clients, cl)
	return cl
}

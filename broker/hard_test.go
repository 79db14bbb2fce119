package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/log/vfs"
)

// again stops a broker and starts another over its files.
func again(t *testing.T, s *brokertest.Server) *brokertest.Server {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return brokertest.Start(t, brokertest.Options{FS: s.FS, Network: s.Network})
}

// Promise 15: while transactions come and go, neither the high watermark nor the
// last stable offset is ever answered lower than before, and the second never
// above the first.
func TestAnsweredWatermarksNeverFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{})
		stop := make(chan struct{})
		var watching, writing sync.WaitGroup
		for range 2 {
			c := client(t, s)
			watching.Go(func() {
				for lso, hw := int64(0), int64(0); ; {
					stable := stableOffset(t, c)
					end := endOffset(t, c)
					if stable < lso || end < hw || stable > end {
						t.Errorf("last stable offset %d after %d, high watermark %d after %d", stable, lso, end, hw)
					}
					lso, hw = stable, end
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Microsecond):
					}
				}
			})
		}
		for i := range 3 {
			c := client(t, s, kgo.TransactionalID(fmt.Sprint("txn-", i)))
			writing.Go(func() {
				for n := range 20 {
					end(t, c, kgo.TransactionEndTry(n%3 != 0), "a", "b")
				}
			})
		}
		writing.Wait()
		close(stop)
		watching.Wait()
		time.Sleep(time.Second)
		last := client(t, s)
		if lso, hw := stableOffset(t, last), endOffset(t, last); lso != hw || hw != 3*20*3 {
			t.Errorf("last stable offset %d, high watermark %d, want %d", lso, hw, 3*20*3)
		}
	})
}

// Promise 26: a full disk refuses produce with KAFKA_STORAGE_ERROR; fetch goes
// on, and nothing that was acked is lost.
func TestFullDiskRefusesProduceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewErr(vfs.NewMem())
		s := start(t, brokertest.Options{FS: disk})
		send(t, client(t, s), "a", "b")
		disk.SetRules(vfs.Rule{Op: vfs.OpWrite, Pattern: "*.log", Error: vfs.ENOSPC}, vfs.Rule{Op: vfs.OpPreallocate, Pattern: "*.log", Error: vfs.ENOSPC})
		refused := client(t, s, kgo.RecordRetries(1), kgo.DisableIdempotentWrite())
		for range 2 { // as it fails, and while it is offline
			err := refused.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("lost")}).FirstErr()
			if code := kerr.TypedErrorForCode(kerr.KafkaStorageError.Code); err == nil || err.Error() != code.Error() {
				t.Errorf("produce to a full disk: %v, want %v", err, code)
			}
			if got := read(t, s, kgo.ReadUncommitted(), 2); got != "[a b]" {
				t.Errorf("read %s", got)
			}
		}
		disk.SetRules()
		time.Sleep(time.Minute)
		send(t, client(t, s), "c")
		if got := read(t, s, kgo.ReadUncommitted(), 3); got != "[a b c]" {
			t.Errorf("read %s, with room on the disk", got)
		}
	})
}

// Promise 26 for the coordinators: with no room for anything, and writes that
// store half, no commit is answered as done; with room again the same
// transactional id and group go on, and all is as they were told.
func TestFullDiskStopsCoordinators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewErr(vfs.NewMem())
		s := start(t, brokertest.Options{FS: disk})
		producer := client(t, s, kgo.TransactionalID("shop"), kgo.TransactionTimeout(10*time.Minute))
		group := kadm.NewClient(client(t, s))
		commit := func(at int64) error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			offsets := kadm.Offsets{}
			offsets.AddOffset("orders", 0, at, -1)
			return group.CommitAllOffsets(ctx, "readers", offsets)
		}
		end(t, producer, kgo.TryCommit, "a")
		if err := commit(1); err != nil {
			t.Fatal(err)
		}
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		send(t, producer, "b")
		var full []vfs.Rule
		for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpPreallocate, vfs.OpMkdir} {
			full = append(full, vfs.Rule{Op: op, Error: vfs.ENOSPC, Short: 20})
		}
		disk.SetRules(full...)
		ended := make(chan error, 1)
		go func() { ended <- producer.EndTransaction(t.Context(), kgo.TryCommit) }()
		if err := commit(2); err == nil {
			t.Error("an offset was committed on a full disk")
		}
		if got := read(t, s, kgo.ReadCommitted(), 1); got != "[a]" {
			t.Errorf("committed %s on a full disk", got)
		}
		select {
		case err := <-ended:
			t.Errorf("the transaction ended on a full disk: %v", err)
		default:
		}
		disk.SetRules()
		if err := <-ended; err != nil {
			t.Errorf("the end of the transaction, with room on the disk: %v", err)
		}
		end(t, producer, kgo.TryCommit, "c")
		if got := read(t, s, kgo.ReadCommitted(), 3); got != "[a b c]" {
			t.Errorf("committed %s, with room on the disk", got)
		}
		offsets, err := group.FetchOffsets(t.Context(), "readers")
		if at, ok := offsets.Lookup("orders", 0); err != nil || !ok || at.At != 1 && at.At != 2 {
			t.Errorf("the group is at %+v, %v; want 1 or, as the last commit was not answered, 2", at, err)
		}
		if err := commit(3); err != nil {
			t.Errorf("commit with room on the disk: %v", err)
		}
	})
}

// hard-38: a node that lost its files is another cluster.
func TestHard38ClusterIDIsThatOfTheFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{})
		id := s.ClusterID()
		s = again(t, s)
		if s.ClusterID() != id {
			t.Errorf("cluster id %s after a restart, was %s", s.ClusterID(), id)
		}
		if wiped := start(t, brokertest.Options{}); wiped.ClusterID() == id {
			t.Errorf("cluster id %s on an empty disk", id)
		}
	})
}

// hard-38: internal topics are not deleted, so their leader epochs never fall.
func TestHard38InternalTopicsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{})
		c := client(t, s, kgo.TransactionalID("shop"))
		end(t, c, kgo.TryCommit, "a")
		epoch := func() int32 {
			t.Helper()
			topics, err := kadm.NewClient(client(t, s)).ListTopicsWithInternal(t.Context(), "__transaction_state")
			if err != nil {
				t.Fatal(err)
			}
			return topics["__transaction_state"].Partitions[0].LeaderEpoch
		}
		before := epoch()
		if _, err := kadm.NewClient(client(t, s)).DeleteTopic(t.Context(), "__transaction_state"); err == nil {
			t.Error("__transaction_state was deleted")
		}
		s = again(t, s)
		end(t, client(t, s, kgo.TransactionalID("shop")), kgo.TryCommit, "b")
		if after := epoch(); after <= before {
			t.Errorf("leader epoch %d after a restart, was %d", after, before)
		}
	})
}

// Promise 19: no producer gets the id and epoch of another, restarts included.
func TestProducerIDsAreGivenOnceAcrossRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{})
		given := map[string]bool{}
		for range 3 {
			for _, txid := range []*string{nil, nil, kmsg.StringPtr("shop")} {
				req := kmsg.NewPtrInitProducerIDRequest()
				req.TransactionalID, req.TransactionTimeoutMillis = txid, 60000
				got := initialised(t, s, req)
				if given[got] {
					t.Errorf("%s was given twice", got)
				}
				given[got] = true
			}
			s = again(t, s)
		}
	})
}

// initialised asks until the coordinator serves.
func initialised(t *testing.T, s *brokertest.Server, req *kmsg.InitProducerIDRequest) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := client(t, s)
	for {
		resp, err := req.RequestWith(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		switch err := kerr.ErrorForCode(resp.ErrorCode); {
		case err == nil:
			return fmt.Sprint(resp.ProducerID, "/", resp.ProducerEpoch)
		case !kerr.IsRetriable(err):
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// hard-14, hard-36: a transaction outlives the topic it wrote to, and a topic
// made again under the name gets no marker of it.
func TestHard14NoMarkerForATopicMadeAgain(t *testing.T) {
	for _, version := range []int16{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, brokertest.Options{Features: map[string]int16{"transaction.version": version}})
			c := client(t, s, kgo.TransactionalID("shop"))
			if err := c.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			send(t, c, "a")
			if _, err := kadm.NewClient(client(t, s)).DeleteTopic(t.Context(), "orders"); err != nil {
				t.Fatal(err)
			}
			if err := s.EnsureTopic(t.Context(), "orders", 2); err != nil {
				t.Fatal(err)
			}
			if err := c.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
				t.Errorf("transaction.version %d: the end of a transaction without its topic: %v", version, err)
			}
			time.Sleep(10 * time.Second)
			if got := describe(t, s, "shop"); got != "CompleteCommit" {
				t.Errorf("transaction.version %d: state %s", version, got)
			}
			if n := endOffset(t, client(t, s)); n != 0 {
				t.Errorf("transaction.version %d: the new topic has %d records", version, n)
			}
		})
	}
}

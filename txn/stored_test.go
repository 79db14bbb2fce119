package txn

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/oncelog/oncelog/protocol/record"
)

// What TransactionLog of Kafka 4.3.1 writes (valueToBytes and keyToBytes).
const (
	kafkaKey      = "0000" + "0004" + "62616e6b"
	kafkaPrepared = "0001" + "0000000000000005" + "7fff" + "0000ea60" + "02" +
		"02" + "07" + "6f7264657273" + "02" + "00000000" + "00" +
		"0000018bcfe56be8" + "0000018bcfe56800" +
		"03" + "0008" + "0000000000000005" + "0108" + "000000000000004d" + "0202" + "0002"
	kafkaEmpty = "0001" + "0000000000000005" + "0000" + "0000ea60" + "00" + "00" +
		"0000018bcfe56be8" + "ffffffffffffffff" + "01" + "0008" + "0000000000000005"
)

func preparedTransaction() *Transaction {
	return &Transaction{
		State: PrepareCommit, ProducerID: 5, ProducerEpoch: 32767, LastProducerEpoch: NoProducerEpoch,
		PrevProducerID: 5, NextProducerID: 77, Timeout: time.Minute, Participants: []Participant{{Topic: "orders"}},
		StartTime: start.UnixMilli(), LastUpdate: start.Add(time.Second).UnixMilli(), ClientVersion: TV2,
	}
}

func TestStoredFormIsKafkas(t *testing.T) {
	empty := &Transaction{
		State: Empty, ProducerID: 5, LastProducerEpoch: NoProducerEpoch, PrevProducerID: 5, NextProducerID: NoProducerID,
		Timeout: time.Minute, StartTime: noTime, LastUpdate: start.Add(time.Second).UnixMilli(),
	}
	for want, tx := range map[string]*Transaction{kafkaPrepared: preparedTransaction(), kafkaEmpty: empty} {
		r := encode("bank", tx, start)
		if got := hex.EncodeToString(r.Key); got != kafkaKey {
			t.Errorf("key   %s\nwant  %s", got, kafkaKey)
		}
		if got := hex.EncodeToString(r.Value); got != want {
			t.Errorf("value %s\nwant  %s", got, want)
		}
		id, back, err := decode(r)
		if diff := cmp.Diff(back, tx); err != nil || id != "bank" || diff != "" {
			t.Errorf("%q, %v: %s", id, err, diff)
		}
	}
	tomb := encode("bank", nil, start)
	if id, back, err := decode(tomb); tomb.Value != nil || id != "bank" || back != nil || err != nil {
		t.Errorf("tombstone: %q %v %v", id, back, err)
	}
}

// Version 0 is what a broker with transaction.version 0 writes.
func TestStoredFormVersion0IsRead(t *testing.T) {
	value := "0000" + "0000000000000005" + "0003" + "0000ea60" + "01" +
		"00000001" + "0006" + "6f7264657273" + "00000002" + "00000001" + "00000000" + "0000018bcfe56be8" + "0000018bcfe56800"
	b, err := hex.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeValue(b)
	if err != nil || show(got) != "Ongoing 5/3 orders-0 orders-1" {
		t.Errorf("%v, %v", show(got), err)
	}
}

// Whatever a state is, it comes back, our own fields too, and kmsg's codec of the
// same form agrees byte for byte.
func TestStoredFormRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tx := &Transaction{
			State:             State(rapid.IntRange(0, 5).Draw(t, "state")),
			ProducerID:        rapid.Int64().Draw(t, "id"),
			ProducerEpoch:     rapid.Int16().Draw(t, "epoch"),
			LastProducerEpoch: rapid.Int16().Draw(t, "last"),
			PrevProducerID:    rapid.Int64().Draw(t, "prev"),
			NextProducerID:    rapid.Int64().Draw(t, "next"),
			Timeout:           time.Duration(rapid.Int32().Draw(t, "timeout")) * time.Millisecond,
			StartTime:         rapid.Int64().Draw(t, "start"),
			LastUpdate:        rapid.Int64().Draw(t, "update"),
			ClientVersion:     rapid.Int16().Draw(t, "version"),
		}
		if tx.State != Empty {
			tx.Participants = tx.union(rapid.SliceOf(rapid.Custom(func(t *rapid.T) Participant {
				p := Participant{Topic: rapid.SampledFrom([]string{"a", "b", "__consumer_offsets"}).Draw(t, "topic")}
				p.TopicID[3] = byte(rapid.IntRange(0, 2).Draw(t, "topic id"))
				p.Partition = int32(rapid.IntRange(0, 4).Draw(t, "partition"))
				return p
			})).Draw(t, "participants"))
		}
		id := rapid.String().Draw(t, "transactional id")
		gotID, got, err := decode(encode(id, tx, start))
		if err != nil || gotID != id {
			t.Fatalf("%q, want %q: %v", gotID, id, err)
		}
		var value kmsg.TxnMetadataValue
		if err := value.ReadFrom(encodeValue(tx)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(value.AppendTo(nil), encodeValue(tx)); diff != "" {
			t.Fatalf("kmsg (-kmsg +ours): %s", diff)
		}
		if value.ProducerID != tx.ProducerID || value.PreviousProducerID != tx.PrevProducerID || value.NextProducerID != tx.NextProducerID ||
			value.ClientTransactionVersion != tx.ClientVersion || value.StartTimestamp != tx.StartTime || value.LastUpdateTimestamp != tx.LastUpdate {
			t.Fatalf("kmsg reads %+v", value)
		}
		if len(got.Participants)+len(tx.Participants) == 0 {
			got.Participants, tx.Participants = nil, nil
		}
		if diff := cmp.Diff(got, tx); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestStoredFormIsRefused(t *testing.T) {
	good := encode("bank", preparedTransaction(), start)
	for name, r := range map[string]record.Record{
		"newer key":      {Key: []byte("\x00\x01\x00\x04bank"), Value: good.Value},
		"short key":      {Key: []byte("\x00\x00\x00\x04ban"), Value: good.Value},
		"newer value":    {Key: good.Key, Value: append([]byte{0, 2}, good.Value[2:]...)},
		"no version":     {Key: good.Key, Value: []byte{0}},
		"short value":    {Key: good.Key, Value: good.Value[:20]},
		"no last byte":   {Key: good.Key, Value: good.Value[:len(good.Value)-1]},
		"many topics":    {Key: good.Key, Value: append(good.Value[:17:17], 0xff, 0xff, 0xff, 0x7f, 0)},
		"memory only":    {Key: good.Key, Value: withState(good.Value, PrepareEpochFence)},
		"dead is a tomb": {Key: good.Key, Value: withState(good.Value, Dead)},
		"negative state": {Key: good.Key, Value: withState(good.Value, -1)},
	} {
		if id, tx, err := decode(r); err == nil {
			t.Errorf("%s: %q %v", name, id, show(tx))
		}
	}
}

func withState(value []byte, s State) []byte {
	b := []byte(strings.Clone(string(value)))
	b[2+8+2+4] = byte(s)
	return b
}

func FuzzDecode(f *testing.F) {
	for _, value := range []string{kafkaPrepared, kafkaEmpty} {
		b, err := hex.DecodeString(value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte("\x00\x00\x00\x04bank"), b)
	}
	f.Add([]byte("\x00\x00\x00\x04bank"), encodeValue(inState(Ongoing, 3)))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		id, tx, err := decode(record.Record{Key: key, Value: value})
		if err != nil || tx == nil {
			return
		}
		if tx.State == Empty {
			tx.Participants = nil // not stored
		}
		id2, again, err := decode(encode(id, tx, start))
		if err != nil || id2 != id {
			t.Fatalf("%q, %v", id2, err)
		}
		if diff := cmp.Diff(again, tx); diff != "" {
			t.Fatal(diff)
		}
	})
}

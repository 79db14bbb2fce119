package txn

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestListTransactions(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		old := w.init("bank-1")
		if err := w.add("bank-1", old, orders(0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		young := w.init("bank-2")
		if err := w.add("bank-2", young, orders(0)); err != nil {
			t.Fatal(err)
		}
		w.init("shop")
		for _, c := range []struct {
			name    string
			r       ListRequest
			want    string
			unknown string
		}{
			{"all", ListRequest{Duration: -1}, "bank-1 bank-2 shop", ""},
			{"by state", ListRequest{States: []string{"Ongoing"}, Duration: -1}, "bank-1 bank-2", ""},
			{"an unknown state is told", ListRequest{States: []string{"Ongoing", "Lost"}, Duration: -1}, "bank-1 bank-2", "Lost"},
			{"only unknown states match nothing", ListRequest{States: []string{"Lost"}, Duration: -1}, "", "Lost"},
			{"by producer id", ListRequest{ProducerIDs: []int64{young.ID}, Duration: -1}, "bank-2", ""},
			{"by duration, exclusive", ListRequest{States: []string{"Ongoing"}, Duration: 10 * time.Second}, "", ""},
			{"by duration", ListRequest{States: []string{"Ongoing"}, Duration: 10*time.Second - time.Millisecond}, "bank-1", ""},
			{"duration 0 leaves out what began now", ListRequest{Duration: 0}, "bank-1 shop", ""},
			{"by pattern", ListRequest{Pattern: "bank-.*", Duration: -1}, "bank-1 bank-2", ""},
			{"the pattern matches the whole id", ListRequest{Pattern: "bank", Duration: -1}, "", ""},
			{"alternatives too", ListRequest{Pattern: "bank|shop", Duration: -1}, "shop", ""},
		} {
			got, err := w.c.List(t.Context(), c.r)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			var ids []string
			for _, l := range got.Transactions {
				ids = append(ids, l.TransactionalID)
			}
			if s := strings.Join(ids, " "); s != c.want || strings.Join(got.UnknownStates, " ") != c.unknown {
				t.Errorf("%s: %q, unknown %v", c.name, s, got.UnknownStates)
			}
		}
		if _, err := w.c.List(t.Context(), ListRequest{Pattern: "("}); !errors.Is(err, kerr.InvalidRegularExpression) {
			t.Errorf("bad pattern: %v", err)
		}
		got, err := w.c.List(t.Context(), ListRequest{ProducerIDs: []int64{old.ID}, Duration: -1})
		if err != nil || fmt.Sprint(got.Transactions) != fmt.Sprintf("[{bank-1 %d Ongoing}]", old.ID) {
			t.Errorf("%v, %v", got, err)
		}
		w.p.Elect(2)
		if _, err := w.c.List(t.Context(), ListRequest{}); !errors.Is(err, kerr.CoordinatorLoadInProgress) {
			t.Errorf("loading: %v", err)
		}
		w.p.Follow(3)
		if got, err := w.c.List(t.Context(), ListRequest{Duration: -1}); err != nil || len(got.Transactions) != 0 {
			t.Errorf("not leading: %v, %v", got, err)
		}
	})
}

func TestDescribeTransactionIsACopy(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world) {
		p := w.init("a")
		if err := w.add("a", p, orders(1), orders(0)); err != nil {
			t.Fatal(err)
		}
		d, err := w.c.Describe(t.Context(), "a")
		if err != nil || d.State != Ongoing || d.Timeout != time.Minute || d.StartTime != time.Now().UnixMilli() || len(d.Participants) != 2 {
			t.Fatalf("%+v, %v", d, err)
		}
		d.Participants[0] = orders(7)
		if again, err := w.c.Describe(t.Context(), "a"); err != nil || again.Participants[0] != orders(0) {
			t.Errorf("%+v, %v", again, err)
		}
		if _, err := w.c.Describe(t.Context(), ""); !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("empty id: %v", err)
		}
	})
}

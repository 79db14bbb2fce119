package sweep

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

func table(t *testing.T) *protocol.Table {
	t.Helper()
	tab, err := protocol.NewTable(
		protocol.On(0, 5, func(context.Context, *kmsg.ApiVersionsRequest, *kmsg.ApiVersionsResponse) error { return nil }),
		protocol.On(0, 13, func(_ context.Context, _ *kmsg.MetadataRequest, r *kmsg.MetadataResponse) error {
			r.Topics = append(r.Topics, kmsg.NewMetadataResponseTopic())
			r.Topics[0].Topic = kmsg.StringPtr("t")
			return nil
		}),
		protocol.On(0, 0, func(context.Context, *kmsg.OffsetDeleteRequest, *kmsg.OffsetDeleteResponse) error { return nil }),
	)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestCasesPass(t *testing.T) {
	tab := table(t)
	cases := Cases(tab, nil)
	if len(cases) != 6+14+1 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.String(), func(t *testing.T) {
			reply, err := tab.Serve(t.Context(), c.Frame, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Check(reply); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestBeyond(t *testing.T) {
	tab := table(t)
	for _, c := range Beyond(tab) {
		reply, err := tab.Serve(t.Context(), c.Frame, nil)
		if c.Key == int16(kmsg.ApiVersions) {
			if err := errors.Join(err, c.CheckUnsupported(reply)); err != nil {
				t.Errorf("%s: %v", c, err)
			}
			continue
		}
		if !errors.Is(err, protocol.ErrClose) {
			t.Errorf("%s: got %x, %v", c, reply, err)
		}
	}
}

func TestCheckFindsFaults(t *testing.T) {
	tab := table(t)
	c := New(int16(kmsg.Metadata), 12, nil)
	whole, err := tab.Serve(t.Context(), c.Frame, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, bend := range map[string]func([]byte) []byte{
		"left over":   func(b []byte) []byte { b = append(b, 0); b[3]++; return b },
		"length":      func(b []byte) []byte { b[3]++; return b },
		"correlation": func(b []byte) []byte { b[7]++; return b },
		"cut":         func(b []byte) []byte { b[3]--; return b[:len(b)-1] },
		"no tags":     func(b []byte) []byte { b[8] = 1; return b },
	} {
		if _, err := c.Check(bend(append([]byte(nil), whole...))); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

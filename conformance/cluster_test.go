package conformance

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestRemoteTargetsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		addr   string
		remote bool
		want   error
	}{
		{"127.0.0.1:9092", false, nil},
		{"[::1]:9092", false, nil},
		{"192.0.2.7:9092", false, ErrRemote},
		{"192.0.2.7:9092", true, nil},
	} {
		if err := allowed(t.Context(), tt.addr, tt.remote); !errors.Is(err, tt.want) {
			t.Errorf("allowed(%s, %t) = %v, want %v", tt.addr, tt.remote, err, tt.want)
		}
	}
	if _, err := Run(t.Context(), Config{Brokers: []string{"192.0.2.7:9092"}}); !errors.Is(err, ErrRemote) {
		t.Errorf("Run on a remote target: %v, want %v", err, ErrRemote)
	}
	if _, err := Run(t.Context(), Config{}); err == nil {
		t.Error("Run without a target is no error")
	}
}

func TestDecodeRefusesWhatIsNotTheAnswer(t *testing.T) {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version = 3
	resp := kmsg.NewPtrEndTxnResponse()
	resp.Version = 3
	good := resp.AppendTo([]byte{0, 0, 0, 7, 0})
	if _, err := decode(req, 7, good); err != nil {
		t.Error(err)
	}
	if resp, err := decode(req, 7, append(good[:len(good):len(good)], 0)); resp == nil || !errors.Is(err, errLeftOver) {
		t.Errorf("an answer with a byte left over is %v, %v; want the answer and %v", resp, err, errLeftOver)
	}
	for name, frame := range map[string][]byte{
		"another correlation id": append([]byte{0, 0, 0, 8}, good[4:]...),
		"no header":              good[:3],
		"endless tags":           {0, 0, 0, 7, 0xff},
		"a body cut short":       good[:len(good)-3],
		"a body too long":        append(good[:len(good):len(good)], 0, 0),
	} {
		if _, err := decode(req, 7, frame); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
}

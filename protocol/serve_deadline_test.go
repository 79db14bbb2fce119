package protocol

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A deadline below a request's context may come in the moment in which the
// request ends: the timer's goroutine then still asks the context of the request.
func TestDeadlineOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left []context.Context
		table, err := NewTable(
			On(0, 5, func(context.Context, *kmsg.ApiVersionsRequest, *kmsg.ApiVersionsResponse) error { return nil }),
			OnReply(4, 18, func(*kmsg.FetchRequest) {}, func(ctx context.Context, _ *kmsg.FetchRequest) (Reply, error) {
				below, cancel := context.WithTimeout(ctx, time.Second)
				t.Cleanup(cancel)
				left = append(left, below)
				return body("fetched"), nil
			}),
		)
		if err != nil {
			t.Fatal(err)
		}
		fetch := kmsg.NewPtrFetchRequest()
		fetch.Version = 12
		frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("c")).AppendRequest(nil, fetch, 1)[4:]
		for range 2 {
			if _, err := table.Serve(WithConn(t.Context(), &Conn{}), frame, nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		for _, ctx := range left {
			if ctx.Err() == nil {
				t.Error("the deadline did not come")
			}
		}
	})
}

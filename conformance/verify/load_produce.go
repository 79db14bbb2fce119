package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// produce writes with an idempotent producer, several requests in flight. Where
// perSession is above 0 the client is dropped after that many records, with
// whatever is in flight, and another takes its place.
func (l *Load) produce(ctx context.Context, process string, perSession int) error {
	random := l.random(process)
	return l.sessions(ctx, process, func(name string, one *life) error {
		ctx := one.ctx
		one.copies = true
		client, err := l.clientOf(one, kgo.MaxBufferedRecords(100))
		if err != nil {
			return err
		}
		if l.granted(ctx, client, name) != nil {
			return nil
		}
		sent := 0
		l.paced(ctx, 3*time.Millisecond, func() bool {
			for range 1 + random.IntN(4) {
				value := fmt.Sprintf("%s#%d", name, sent)
				l.send(ctx, client, name, Event{Topic: l.names.plain, Partition: random.Int32N(partitionsOfTopic), Value: value}, func(error) {})
				sent++
			}
			return perSession == 0 || sent < perSession
		})
		return nil
	})
}

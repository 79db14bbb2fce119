package broker_test

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/memnet"
)

// A broker inside of a program, here in memory altogether. Without FS and
// Listen it keeps its files in log.dirs and listens on TCP.
func Example() {
	ctx := context.Background()
	network := memnet.New()
	b, err := broker.Open(ctx, broker.Config{
		Properties: map[string]string{"num.partitions": "3", "log.dirs": "data"},
		FS:         vfs.NewMem(),
		Listen:     network.Listen,
		Dial:       network.Dial,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := b.EnsureTopic(ctx, "orders", 0); err != nil {
		fmt.Println(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr().String()), kgo.Dialer(network.Dial))
	if err != nil {
		fmt.Println(err)
		return
	}
	result := client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte("v")})
	fmt.Println(result.FirstErr(), b.Ready())
	client.Close()
	if err := b.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: <nil> true
}

package protocol_test

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// A handler gets kmsg's types; the key comes from them, and an error becomes
// the answer's error code.
func ExampleTable_Serve() {
	table, err := protocol.NewTable(
		protocol.On(0, 4, func(ctx context.Context, req *kmsg.HeartbeatRequest, resp *kmsg.HeartbeatResponse) error {
			if req.Generation != 3 {
				return fmt.Errorf("generation %d, want 3: %w", req.Generation, kerr.IllegalGeneration)
			}
			return nil
		}),
	)
	if err != nil {
		panic(err)
	}
	request := kmsg.NewPtrHeartbeatRequest()
	request.Version, request.Generation = 4, 2
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, request, 1)

	reply, err := table.Serve(context.Background(), frame[4:], nil)
	response := kmsg.NewPtrHeartbeatResponse()
	response.Version = 4
	fmt.Println(err, response.ReadFrom(reply[9:]), kerr.ErrorForCode(response.ErrorCode))
	// Output: <nil> <nil> ILLEGAL_GENERATION: Specified group generation id is not valid.
}

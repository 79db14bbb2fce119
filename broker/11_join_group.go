package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/group"
	"github.com/oncelog/oncelog/protocol"
)

// joinGroup: v0-9
//
//   - Answered at the end of the join phase; the leader gets the members.
//   - From v4 a dynamic member is given its id first (MEMBER_ID_REQUIRED, KIP-394).
//
// Versions: v1 rebalance timeout; v5 static members (KIP-345); v6 flexible; v7 protocol type; v8 reason (KIP-800); v9 skip assignment (KIP-814).
func (b *Broker) joinGroup(ctx context.Context, req *kmsg.JoinGroupRequest, resp *kmsg.JoinGroupResponse) error {
	return b.groups.JoinGroup(ctx, memberClient(ctx), req, resp)
}

// memberClient is what a group remembers of the client, the host as Java prints
// an address without a name.
func memberClient(ctx context.Context) group.ClientInfo {
	r := protocol.RequestFrom(ctx)
	info := group.ClientInfo{ID: r.ClientName()}
	if r.Conn != nil && r.Conn.Remote != nil {
		info.Host = "/" + hostOf(r.Conn.Remote)
	}
	return info
}

package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupOperations are the ACL operations on a group, a bit each: READ, DELETE,
// DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS. Without an authorizer all are
// allowed. Source: AclEntry.supportedOperations.
const groupOperations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// describeGroups: v0-6
//
//   - An unknown group is Dead without an error; from v6 GROUP_ID_NOT_FOUND says so.
//
// Versions: v3 authorized operations (KIP-430); v4 static members (KIP-345); v5 flexible; v6 error message (KIP-1043).
func (b *Broker) describeGroups(ctx context.Context, req *kmsg.DescribeGroupsRequest, resp *kmsg.DescribeGroupsResponse) error {
	err := b.groups.DescribeGroups(ctx, req, resp)
	for i := range resp.Groups {
		if g := &resp.Groups[i]; req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
			g.AuthorizedOperations = groupOperations
		}
	}
	return err
}

package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// errNoAuthorizer is what a Kafka without authorizer.class.name answers: there
// are no access rules here, and everyone may do everything.
var errNoAuthorizer = refuse(kerr.SecurityDisabled, "No Authorizer is configured on the broker")

// DescribeACLs: v1-3
//
//   - Refused: nothing is authorized, so there is no list to show.
//
// Errors: SECURITY_DISABLED. Source: AclApis.
func (b *Broker) describeACLs(context.Context, *kmsg.DescribeACLsRequest, *kmsg.DescribeACLsResponse) error {
	return errNoAuthorizer
}

// CreateACLs: v1-3
//
//   - Each rule is refused, as DescribeACLs.
func (b *Broker) createACLs(_ context.Context, req *kmsg.CreateACLsRequest, resp *kmsg.CreateACLsResponse) error {
	for range req.Creations {
		answer := kmsg.NewCreateACLsResponseResult()
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(errNoAuthorizer), protocol.Message(errNoAuthorizer)
		resp.Results = append(resp.Results, answer)
	}
	return nil
}

// DeleteACLs: v1-3
//
//   - Each filter is refused, as DescribeACLs.
func (b *Broker) deleteACLs(_ context.Context, req *kmsg.DeleteACLsRequest, resp *kmsg.DeleteACLsResponse) error {
	for range req.Filters {
		answer := kmsg.NewDeleteACLsResponseResult()
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(errNoAuthorizer), protocol.Message(errNoAuthorizer)
		resp.Results = append(resp.Results, answer)
	}
	return nil
}

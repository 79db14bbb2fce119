package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// classicType is the type of all groups here, on the wire. Source: seen from Kafka 4.3.1.
const classicType = "classic"

// DescribeGroups describes groups with their members; metadata and assignments
// only of a stable one. An unknown group is Dead, and from version 6 on also
// GroupIDNotFound (KIP-1043).
//
// Errors, per group: GroupIDNotFound and those of the shard.
func (c *Coordinator) DescribeGroups(ctx context.Context, req *kmsg.DescribeGroupsRequest, resp *kmsg.DescribeGroupsResponse) error {
	for _, id := range req.Groups {
		resp.Groups = append(resp.Groups, c.describe(ctx, id, req.Version))
	}
	return ctx.Err()
}

func (c *Coordinator) describe(ctx context.Context, id string, version int16) kmsg.DescribeGroupsResponseGroup {
	answer := kmsg.NewDescribeGroupsResponseGroup()
	answer.Group = id
	s, err := c.of(id)
	if err == nil {
		err = s.shard.Answer(ctx, func(v *view) {
			if g := v.groups[id]; g != nil {
				g.describe(&answer)
				return
			}
			answer.State = Dead.String()
			if version >= 6 {
				answer.ErrorCode = kerr.GroupIDNotFound.Code
				answer.ErrorMessage = new(fmt.Sprintf("Group %s not found.", id))
			}
		})
	}
	if err != nil {
		known := c.wire(err)
		answer.ErrorCode, answer.ErrorMessage = known.Code, &known.Description
	}
	return answer
}

func (g *group) describe(answer *kmsg.DescribeGroupsResponseGroup) {
	answer.State = g.state.String()
	answer.ProtocolType = g.protocolType
	if g.state == Stable {
		answer.Protocol = *g.protocol
	}
	g.each(func(m *member) {
		e := kmsg.NewDescribeGroupsResponseGroupMember()
		e.MemberID, e.InstanceID = m.id, m.instanceID
		e.ClientID, e.ClientHost = m.clientID, m.clientHost
		e.MemberAssignment = m.assignment
		if g.state == Stable {
			e.ProtocolMetadata = m.metadata(*g.protocol)
		}
		answer.Members = append(answer.Members, e)
	})
}

// ListGroups lists the groups that this node coordinates, of the states (v4+)
// and types (v5+) asked for, in any case of letters; none asked for means all.
//
// Errors: those of the shard while one of its partitions loads.
func (c *Coordinator) ListGroups(ctx context.Context, req *kmsg.ListGroupsRequest, resp *kmsg.ListGroupsResponse) error {
	wanted := func(filter []string, name string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(strings.TrimSpace(f), name) })
	}
	if !wanted(req.TypesFilter, classicType) {
		return nil
	}
	var groups []kmsg.ListGroupsResponseGroup
	for _, s := range c.allServed() {
		err := s.shard.Answer(ctx, func(v *view) {
			for id, g := range v.groups {
				if !wanted(req.StatesFilter, g.state.String()) {
					continue
				}
				e := kmsg.NewListGroupsResponseGroup()
				e.Group, e.ProtocolType, e.GroupState, e.GroupType = id, g.protocolType, g.state.String(), classicType
				groups = append(groups, e)
			}
		})
		if err != nil && !errors.Is(err, kerr.NotCoordinator) {
			resp.ErrorCode = c.wire(err).Code
			return ctx.Err()
		}
	}
	slices.SortFunc(groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	resp.Groups = groups
	return ctx.Err()
}

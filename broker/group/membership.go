package group

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// JoinGroup makes the client a member of the next generation. It blocks until
// the join phase is over, holding no lock.
//
// Errors: InvalidGroupID, InvalidSessionTimeout, MemberIDRequired,
// UnknownMemberID, FencedInstanceID, InconsistentGroupProtocol,
// GroupMaxSizeReached, RebalanceInProgress, InvalidRequest for a name too long to
// be stored, and those of the shard. All of them
// are in resp; the returned error is ctx's.
func (c *Coordinator) JoinGroup(ctx context.Context, client ClientInfo, req *kmsg.JoinGroupRequest, resp *kmsg.JoinGroupResponse) error {
	answer, err := c.join(ctx, client, req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		answer = joinRefused(req.MemberID, c.wire(err))
	}
	answer.Version = resp.Version
	*resp = answer
	return nil
}

func (c *Coordinator) join(ctx context.Context, client ClientInfo, req *kmsg.JoinGroupRequest) (none kmsg.JoinGroupResponse, err error) {
	if req.Group == "" {
		return none, kerr.InvalidGroupID
	}
	if !storable(client, req) {
		return none, kerr.InvalidRequest
	}
	if t := millis(req.SessionTimeoutMillis); t < c.config.SessionTimeoutMin || t > c.config.SessionTimeoutMax {
		return none, kerr.InvalidSessionTimeout
	}
	s, err := c.of(req.Group)
	if err != nil {
		return none, err
	}
	wait := make(chan kmsg.JoinGroupResponse, 1)
	gone, err := s.take(ctx, req.Group, req.MemberID == "", func(t turn) *store { return t.join(req, client, wait) })
	if errors.Is(err, kerr.GroupIDNotFound) {
		return none, kerr.UnknownMemberID
	}
	if err != nil {
		return none, err
	}
	return await(ctx, wait, gone)
}

// storable says that a GroupMetadataValue can hold the names in a request: their
// lengths are an int16 there, and a member id adds a UUID to the client's or
// instance id.
func storable(client ClientInfo, req *kmsg.JoinGroupRequest) bool {
	const longest = math.MaxInt16 - 64
	for _, p := range req.Protocols {
		if len(p.Name) > longest {
			return false
		}
	}
	return len(client.ID) <= longest && len(req.ProtocolType) <= longest && (req.InstanceID == nil || len(*req.InstanceID) <= longest)
}

// await returns what arrives first: the answer, the end of this node's
// coordinating, or the end of ctx.
func await[R any](ctx context.Context, wait <-chan R, gone <-chan struct{}) (none R, err error) {
	select {
	case r := <-wait:
		return r, nil
	default:
	}
	select {
	case r := <-wait:
		return r, nil
	case <-gone:
		return none, kerr.NotCoordinator
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// SyncGroup hands the leader's assignment in, and out to everyone. It blocks
// until the leader's is stored.
//
// Errors: InvalidGroupID, UnknownMemberID, FencedInstanceID, IllegalGeneration,
// InconsistentGroupProtocol, RebalanceInProgress and those of the shard.
func (c *Coordinator) SyncGroup(ctx context.Context, req *kmsg.SyncGroupRequest, resp *kmsg.SyncGroupResponse) error {
	answer, err := c.sync(ctx, req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		answer = syncRefused(c.wire(err))
	}
	answer.Version = resp.Version
	*resp = answer
	return nil
}

func (c *Coordinator) sync(ctx context.Context, req *kmsg.SyncGroupRequest) (none kmsg.SyncGroupResponse, err error) {
	switch {
	case req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		// KIP-559; SyncGroupRequest.areMandatoryProtocolTypeAndNamePresent.
		return none, fmt.Errorf("version %d names no protocol type or no protocol: %w", req.Version, kerr.InconsistentGroupProtocol)
	case req.Group == "":
		return none, kerr.InvalidGroupID
	}
	s, err := c.of(req.Group)
	if err != nil {
		return none, err
	}
	wait := make(chan kmsg.SyncGroupResponse, 1)
	gone, err := s.take(ctx, req.Group, false, func(t turn) *store { return t.sync(req, wait) })
	if errors.Is(err, kerr.GroupIDNotFound) {
		return none, kerr.UnknownMemberID
	}
	if err != nil {
		return none, err
	}
	return await(ctx, wait, gone)
}

// Heartbeat keeps a member's session. While the partition loads it answers
// success, so that members do not leave for that.
//
// Errors: InvalidGroupID, UnknownMemberID, FencedInstanceID, IllegalGeneration,
// RebalanceInProgress and those of the shard.
func (c *Coordinator) Heartbeat(ctx context.Context, req *kmsg.HeartbeatRequest, resp *kmsg.HeartbeatResponse) error {
	err := c.heartbeat(ctx, req)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && !errors.Is(err, kerr.CoordinatorLoadInProgress):
		resp.ErrorCode = c.wire(err).Code
	}
	return nil
}

func (c *Coordinator) heartbeat(ctx context.Context, req *kmsg.HeartbeatRequest) error {
	if req.Group == "" {
		return kerr.InvalidGroupID
	}
	s, err := c.of(req.Group)
	if err != nil {
		return err
	}
	var refused *kerr.Error
	_, err = s.take(ctx, req.Group, false, func(t turn) *store {
		refused = t.heartbeat(req)
		return nil
	})
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return kerr.UnknownMemberID
	case err != nil:
		return err
	case refused != nil:
		return refused
	}
	return nil
}

// LeaveGroup removes members: one by its member id before version 3, several
// from then on, static ones by their instance id too (KIP-345).
//
// Errors: InvalidGroupID and those of the shard; per member UnknownMemberID and
// FencedInstanceID, which before version 3 stand for the whole.
func (c *Coordinator) LeaveGroup(ctx context.Context, req *kmsg.LeaveGroupRequest, resp *kmsg.LeaveGroupResponse) error {
	members := req.Members
	if req.Version < 3 {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = req.MemberID
		members = []kmsg.LeaveGroupRequestMember{m}
	}
	answers, err := c.leave(ctx, req.Group, members)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		resp.ErrorCode = c.wire(err).Code
	case req.Version < 3:
		resp.ErrorCode = answers[0].ErrorCode
	default:
		resp.Members = answers
	}
	return nil
}

func (c *Coordinator) leave(ctx context.Context, group string, members []kmsg.LeaveGroupRequestMember) (answers []kmsg.LeaveGroupResponseMember, err error) {
	if group == "" {
		return nil, kerr.InvalidGroupID
	}
	s, err := c.of(group)
	if err != nil {
		return nil, err
	}
	_, err = s.take(ctx, group, false, func(t turn) (next *store) {
		answers, next = t.leave(members)
		return next
	})
	if errors.Is(err, kerr.GroupIDNotFound) {
		for _, m := range members {
			answer := kmsg.NewLeaveGroupResponseMember()
			answer.MemberID, answer.InstanceID, answer.ErrorCode = m.MemberID, m.InstanceID, kerr.UnknownMemberID.Code
			answers = append(answers, answer)
		}
		return answers, nil
	}
	return slices.Clip(answers), err
}

package group

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A member is one consumer of a classic group. The view lock guards it.
type member struct {
	id               string
	instanceID       *string // group.instance.id of a static member (KIP-345), else nil
	clientID         string
	clientHost       string
	rebalanceTimeout time.Duration
	sessionTimeout   time.Duration
	protocols        []kmsg.JoinGroupRequestProtocol // in the member's order of preference
	assignment       []byte

	// isNew is true until the member's first rebalance is complete. Waiting in
	// JoinGroup counts as being alive only for a member that is not new.
	isNew bool
	// deadline is when the member is removed unless it is heard of; zero while
	// it waits for an answer.
	deadline time.Time

	join chan<- kmsg.JoinGroupResponse // room for one answer; nil unless a JoinGroup waits
	sync chan<- kmsg.SyncGroupResponse // room for one answer; nil unless a SyncGroup waits
}

// isStatic says that the member has a group.instance.id.
func (m *member) isStatic() bool { return m.instanceID != nil }

// alive says that the member waits for an answer of ours, so its session cannot expire.
func (m *member) alive() bool { return !m.isNew && (m.join != nil || m.sync != nil) }

// metadata is the member's metadata for a protocol, nil if it does not support it.
func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// supports says that the member knows the protocol.
func (m *member) supports(protocol string) bool {
	return slices.ContainsFunc(m.protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return p.Name == protocol })
}

// matches says that nothing changed: same protocols, same order, same metadata.
func (m *member) matches(protocols []kmsg.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata)
	})
}

// metadataBytes is what the member's protocols hold in memory.
func metadataBytes(protocols []kmsg.JoinGroupRequestProtocol) int {
	n := 0
	for _, p := range protocols {
		n += len(p.Name) + len(p.Metadata)
	}
	return n
}

// answerSync gives a waiting SyncGroup its answer, if one waits.
func (m *member) answerSync(resp kmsg.SyncGroupResponse) bool {
	if m.sync == nil {
		return false
	}
	m.sync <- resp
	m.sync = nil
	return true
}

// joinRefused is the answer to a JoinGroup that failed.
func joinRefused(memberID string, err *kerr.Error) kmsg.JoinGroupResponse {
	resp := kmsg.NewJoinGroupResponse()
	resp.MemberID = memberID
	resp.ErrorCode = err.Code
	return resp
}

// syncRefused is the answer to a SyncGroup that failed.
func syncRefused(err *kerr.Error) kmsg.SyncGroupResponse {
	resp := kmsg.NewSyncGroupResponse()
	resp.ErrorCode = err.Code
	return resp
}

package conformance

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The kinds of coordinators (FindCoordinator).
const (
	groupCoordinator       int8 = 0
	transactionCoordinator int8 = 1
)

// findCoordinator asks any broker once.
func (t *T) findCoordinator(kind int8, key string) (node int32, code int16) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version = t.newest(req, 5)
	req.CoordinatorType = kind
	req.CoordinatorKey, req.CoordinatorKeys = key, []string{key}
	resp := ask[*kmsg.FindCoordinatorResponse](t, t.any(), req)
	if req.Version < 4 {
		return resp.NodeID, resp.ErrorCode
	}
	if len(resp.Coordinators) != 1 {
		t.fatalf("FindCoordinator", "1 coordinator", "%d coordinators", len(resp.Coordinators))
	}
	return resp.Coordinators[0].NodeID, resp.Coordinators[0].ErrorCode
}

// coordinate runs once with the coordinator of a key, again while it answers
// that it is loading or elsewhere.
func (t *T) coordinate(kind int8, key string, once func(node int32) int16) int16 {
	return t.settle("coordinator of "+key, isCoordinatorMoving, func() int16 {
		node, code := t.findCoordinator(kind, key)
		if code != codeNone {
			return code
		}
		return once(node)
	})
}

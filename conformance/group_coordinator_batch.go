package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var groupCoordinatorBatch = Case{
	ID:          "group/coordinator/1",
	Title:       "FindCoordinator answers one key by the old shape, several by the new, and no unknown kind",
	Requirement: "KIP-699; FindCoordinator 4",
	Level:       Must,
	Needs:       []Need{api(keyFindCoordinator, 4)},
	Run: func(t *T) {
		a, b := t.name("group"), t.name("group")
		ask := func(version int16, kind int8, keys ...string) *kmsg.FindCoordinatorResponse {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.Version, req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = version, kind, keys[0], keys
			return ask[*kmsg.FindCoordinatorResponse](t, t.any(), req)
		}
		t.coordinate(groupCoordinator, a, func(int32) int16 { return codeNone })
		for _, version := range []int16{0, 3} {
			old := ask(version, groupCoordinator, a)
			t.code("one key by the old shape", old.ErrorCode, codeNone)
			t.equal("a broker of the cluster", t.cluster.brokers[old.NodeID] != "", true)
		}
		several := ask(4, groupCoordinator, a, b)
		if t.equal("keys answered", len(several.Coordinators), 2) {
			t.equal("first key", several.Coordinators[0].Key, a)
			t.code("its code", several.Coordinators[0].ErrorCode, codeNone)
		}
		unknown := ask(4, 77, a)
		if t.equal("keys of an unknown kind answered", len(unknown.Coordinators), 1) {
			t.code("an unknown kind", unknown.Coordinators[0].ErrorCode, codeInvalidRequest)
		}
	},
}

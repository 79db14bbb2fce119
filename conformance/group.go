package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

// newGroup is a group name of this case; the group is deleted after it.
func (t *T) newGroup() string {
	g := t.name("group")
	t.groups = append(t.groups, g)
	return g
}

// deleteGroup deletes a group; its members must have left.
func (t *T) deleteGroup(group string) int16 {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Version = t.newest(req, 2)
	req.Groups = []string{group}
	return t.coordinate(groupCoordinator, group, func(node int32) int16 {
		resp := ask[*kmsg.DeleteGroupsResponse](t, node, req)
		if len(resp.Groups) != 1 {
			t.fatalf("DeleteGroups", "1 group", "%d groups", len(resp.Groups))
		}
		return resp.Groups[0].ErrorCode
	})
}

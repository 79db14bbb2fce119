package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicMetadataFolders = Case{
	ID:          "topic/metadata/4",
	Title:       "DescribeLogDirs tells the size of the partitions asked for, and of all if none is",
	Requirement: "KIP-113, KIP-827",
	Level:       Must,
	Needs:       []Need{{Key: int16(kmsg.DescribeLogDirs), Version: 1}},
	Run: func(t *T) {
		tp := t.together(2)
		t.fill(tp.at(1), 5)
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Version = t.newest(req, -1)
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: tp.name, Partitions: []int32{1, 1, 7}}, {Topic: t.name("absent"), Partitions: []int32{0}}}
		sizes := t.folderSizes(tp, req)
		if t.equal("partitions asked for", len(sizes), 1) {
			t.record("size of partition 1", sizes[1] > 0, "more than 0", fmt.Sprint(sizes[1]))
		}
		req.Topics = nil
		if sizes = t.folderSizes(tp, req); t.equal("partitions among all", len(sizes), 2) {
			t.equal("size of partition 0", sizes[0], int64(0))
		}
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{}
		t.observe("partitions of an empty list", fmt.Sprint(len(t.folderSizes(tp, req))))
	},
}

// folderSizes asks the leader and returns the size of each partition of a topic.
func (t *T) folderSizes(tp *topic, req *kmsg.DescribeLogDirsRequest) map[int32]int64 {
	resp := ask[*kmsg.DescribeLogDirsResponse](t, tp.leaders[0], req)
	t.code("DescribeLogDirs", resp.ErrorCode, codeNone)
	sizes := map[int32]int64{}
	for i, dir := range resp.Dirs {
		t.code(fmt.Sprintf("folder %d", i+1), dir.ErrorCode, codeNone)
		for _, one := range dir.Topics {
			for _, p := range one.Partitions {
				if one.Topic == tp.name {
					sizes[p.Partition] = p.Size
				}
			}
		}
	}
	return sizes
}

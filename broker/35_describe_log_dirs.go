package broker

import (
	"context"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication"
)

// DescribeLogDirs: v1-5
//
//   - One folder holds everything. A null list means all partitions; a topic
//     of which none is held is left out.
//   - Size counts the bytes of records; indexes and the sidecar come on top.
//   - No replica is on its way to another folder.
//   - How large the disk is stays untold (-1, as before KIP-827).
//
// Versions: v2 flexible; v3 top-level error; v4 sizes of the volume (KIP-827); v5 cordoned folders (KIP-1066). Source: ReplicaManager.describeLogDirs.
func (b *Broker) describeLogDirs(_ context.Context, req *kmsg.DescribeLogDirsRequest, resp *kmsg.DescribeLogDirsResponse) error {
	set := b.topics.load()
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = set.settings.logDirs[0]
	if absolute, err := filepath.Abs(dir.Dir); err == nil { // else the working folder is gone, and the name as it was given must do
		dir.Dir = absolute
	}
	asked := partitionsAsked(req, set)
	for _, one := range set.image.Topics() {
		t, ok := set.byID(one.ID)
		if !ok {
			continue
		}
		answer := kmsg.NewDescribeLogDirsResponseDirTopic()
		answer.Topic = t.Name
		wanted := asked[t]
		for i, p := range t.partitions {
			if p != nil && (req.Topics == nil || wanted != nil && wanted[i]) {
				answer.Partitions = append(answer.Partitions, logInDir(p, i))
			}
		}
		if len(answer.Partitions) > 0 {
			dir.Topics = append(dir.Topics, answer)
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return nil
}

// partitionsAsked marks those of our partitions that a request names, however
// often it does.
func partitionsAsked(req *kmsg.DescribeLogDirsRequest, set *topicSet) map[*topic][]bool {
	asked := make(map[*topic][]bool)
	for _, one := range req.Topics {
		t, ok := set.byName(one.Topic)
		if !ok {
			continue
		}
		if asked[t] == nil {
			asked[t] = make([]bool, len(t.partitions))
		}
		for _, i := range one.Partitions {
			if i >= 0 && int(i) < len(t.partitions) {
				asked[t][i] = true
			}
		}
	}
	return asked
}

func logInDir(p *replication.Partition, partition int) kmsg.DescribeLogDirsResponseDirTopicPartition {
	one := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
	one.Partition, one.Size = int32(partition), p.Log().Size()
	one.OffsetLag = max(p.HighWatermark()-p.EndOffset(), 0)
	return one
}

package broker

import (
	"context"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// AlterReplicaLogDirs: v1-2
//
//   - There is one folder: a replica stays where it is.
//
// Errors: LOG_DIR_NOT_FOUND for any other folder; REPLICA_NOT_AVAILABLE for a
// partition of which this broker holds no replica. Source: ReplicaManager.alterReplicaLogDirs.
func (b *Broker) alterReplicaLogDirs(_ context.Context, req *kmsg.AlterReplicaLogDirsRequest, resp *kmsg.AlterReplicaLogDirsResponse) error {
	set := b.topics.load()
	at := map[string]int{}
	for _, dir := range req.Dirs {
		for _, t := range dir.Topics {
			if _, ok := at[t.Topic]; !ok {
				at[t.Topic] = len(resp.Topics)
				answer := kmsg.NewAlterReplicaLogDirsResponseTopic()
				answer.Topic = t.Topic
				resp.Topics = append(resp.Topics, answer)
			}
			answer := &resp.Topics[at[t.Topic]]
			for _, i := range t.Partitions {
				one := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				one.Partition, one.ErrorCode = i, protocol.Code(staysIn(set, dir.Dir, t.Topic, i))
				answer.Partitions = append(answer.Partitions, one)
			}
		}
	}
	return nil
}

// staysIn says whether a replica may be where it is asked to be.
func staysIn(set *topicSet, dir, name string, partition int32) error {
	own, err := filepath.Abs(set.settings.logDirs[0])
	if err != nil {
		own = set.settings.logDirs[0] // the working folder is gone
	}
	if dir != own {
		return refuse(kerr.LogDirNotFound, "Log dir %s is not found in the config.", dir)
	}
	t, ok := set.byName(name)
	if !ok || partition < 0 || int(partition) >= len(t.partitions) || t.partitions[partition] == nil {
		return kerr.ReplicaNotAvailable
	}
	return nil
}

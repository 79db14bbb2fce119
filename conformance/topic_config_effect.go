package conformance

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicConfigEffect = Case{
	ID:          "topic/config/5",
	Title:       "a changed config holds for the batches that follow: timestamp type and bounds, largest batch, codec",
	Requirement: "KIP-32, KIP-937; message.timestamp.type, message.timestamp.before.max.ms, max.message.bytes, compression.type",
	Level:       Must,
	Needs:       []Need{{Key: int16(kmsg.IncrementalAlterConfigs)}},
	Run: func(t *T) {
		t.races() // how many batches it takes until a config holds
		log := t.oneLog()
		old := plain("a value of some length")
		old.timestamp = time.Now().Add(-time.Minute).UnixMilli()
		append := func() kmsg.ProduceResponseTopicPartition { return t.produce(log, call{}, old) }
		change := func(name, value string, holds func(kmsg.ProduceResponseTopicPartition) bool) {
			if holds(append()) {
				t.fatalf(name+" before its change", "not in force", "in force")
			}
			t.code("set "+name, t.alterConfig(log.topic, name, kmsg.IncrementalAlterConfigOpSet, value), codeNone)
			t.until(name+" "+value, func() (string, bool) {
				got := append()
				return fmt.Sprintf("code %d, time %d", got.ErrorCode, got.LogAppendTime), holds(got)
			})
			t.code("delete "+name, t.alterConfig(log.topic, name, kmsg.IncrementalAlterConfigOpDelete, ""), codeNone)
			t.until(name+" as before", func() (string, bool) {
				got := append()
				return fmt.Sprintf("code %d, time %d", got.ErrorCode, got.LogAppendTime), got.ErrorCode == codeNone && !holds(got)
			})
		}
		code := func(want int16) func(kmsg.ProduceResponseTopicPartition) bool {
			return func(got kmsg.ProduceResponseTopicPartition) bool { return got.ErrorCode == want }
		}
		change("message.timestamp.type", "LogAppendTime", func(got kmsg.ProduceResponseTopicPartition) bool { return got.LogAppendTime > old.timestamp })
		change("message.timestamp.before.max.ms", "30000", code(codeInvalidTimestamp))
		change("max.message.bytes", "70", code(codeMessageTooLarge))
		change("compression.type", "lz4", func(got kmsg.ProduceResponseTopicPartition) bool {
			all := t.log(log)
			return all[len(all)-1].codec == 3
		})
	},
}

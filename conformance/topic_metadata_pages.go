package conformance

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicMetadataPages = Case{
	ID:          "topic/metadata/3",
	Title:       "DescribeTopicPartitions answers in pages that a cursor joins, and no list in them is null",
	Requirement: "KIP-966; DescribeTopicPartitions 0",
	Level:       Must,
	Needs:       []Need{{Key: int16(kmsg.DescribeTopicPartitions)}},
	Run: func(t *T) {
		first, second := t.newTopic(3), t.newTopic(2)
		asked := []string{second.name, t.name("absent"), first.name, first.name}
		t.equal("pages of two", t.pages(asked, 2), []string{
			asked[1] + " error 3, " + first.name + " 0 1, more at " + first.name + " 2",
			first.name + " 2, " + second.name + " 0, more at " + second.name + " 1",
			second.name + " 1",
		})
		t.equal("a page that ends with its topic", t.pages(asked, 3), []string{
			asked[1] + " error 3, " + first.name + " 0 1 2, more at " + second.name + " 0",
			second.name + " 0 1",
		})
		t.equal("a limit of 0 counts as 1", len(t.pages([]string{first.name}, 0)), 3)
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: first.name}}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: second.name}
		resp := ask[*kmsg.DescribeTopicPartitionsResponse](t, t.any(), req)
		if t.equal("topics of a cursor elsewhere", len(resp.Topics), 1) {
			t.code("their code", resp.Topics[0].ErrorCode, codeInvalidRequest)
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: first.name, Partition: -1}
		resp = ask[*kmsg.DescribeTopicPartitionsResponse](t, t.any(), req)
		if t.equal("topics of a cursor at partition -1", len(resp.Topics), 1) {
			t.code("their code", resp.Topics[0].ErrorCode, codeInvalidRequest)
		}
	},
}

// pages reads all pages of an answer, each in a line of text.
func (t *T) pages(topics []string, limit int32) (pages []string) {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = limit
	for _, name := range topics {
		req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
	}
	for len(pages) < 10 {
		resp := ask[*kmsg.DescribeTopicPartitionsResponse](t, t.any(), req)
		var page []string
		for _, one := range resp.Topics {
			line := text(one.Topic)
			if one.ErrorCode != codeNone {
				line += fmt.Sprintf(" error %d", one.ErrorCode)
			}
			for _, p := range one.Partitions {
				line += fmt.Sprintf(" %d", p.Partition)
				t.record("nullable lists of "+line, p.EligibleLeaderReplicas != nil && p.LastKnownELR != nil,
					"none is null", fmt.Sprintf("%#v %#v", p.EligibleLeaderReplicas, p.LastKnownELR))
			}
			page = append(page, line)
		}
		if resp.NextCursor == nil {
			return append(pages, strings.Join(page, ", "))
		}
		pages = append(pages, strings.Join(append(page, fmt.Sprintf("more at %s %d", resp.NextCursor.Topic, resp.NextCursor.Partition)), ", "))
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
	return append(pages, "and so on")
}

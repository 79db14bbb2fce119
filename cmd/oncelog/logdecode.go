package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A decoder shows the key and value of a record of an internal topic.
type decoder func(key, value []byte) (any, any)

// decoding picks the decoder that --decode and the topic's name ask for.
func (d *dumper) decoding(topic string) error {
	choice := d.flags.decode
	if choice == "auto" {
		switch topic {
		case "__consumer_offsets":
			choice = "offsets"
		case "__transaction_state":
			choice = "transactions"
		default:
			choice = "none"
		}
	}
	switch choice {
	case "none":
		d.decode = nil
	case "offsets":
		d.decode = decodeOffsets
	case "transactions":
		d.decode = decodeTransactions
	default:
		return usage("--decode is %q, want auto, none, offsets or transactions", choice)
	}
	return nil
}

// A stored value of an internal topic, as kmsg knows it.
type stored interface{ ReadFrom([]byte) error }

// decoded is value as one line of JSON, or what stands in the way.
func decoded(raw []byte, into stored) any {
	if raw == nil {
		return nil
	}
	if err := into.ReadFrom(raw); err != nil {
		return fmt.Sprintf("undecodable (%v): % x", err, raw)
	}
	line, err := readable(into)
	if err != nil {
		return fmt.Sprintf("unprintable (%v): % x", err, raw)
	}
	return jsonText(line)
}

// readable is a stored value as JSON, with topic ids as Kafka's tools show them
// and without empty tag sections.
func readable(value stored) ([]byte, error) {
	line, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var fields any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber() // offsets and producer ids have 64 bits
	if err := decoder.Decode(&fields); err != nil {
		return nil, err
	}
	return json.Marshal(tidy(fields))
}

// tidy rewrites what encoding/json makes of kmsg's ids and tags.
func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			list, isList := field.([]any)
			tags, isTags := field.(map[string]any)
			switch {
			case name == "UnknownTags" && isTags && len(tags) == 0:
				delete(v, name)
			case isList && name == "TopicID" && len(list) == len(kadm.TopicID{}):
				v[name] = idOf(list)
			default:
				v[name] = tidy(field)
			}
		}
	case []any:
		for i := range v {
			v[i] = tidy(v[i])
		}
	}
	return v
}

// idOf is the text of a topic id that was decoded as a list of numbers.
func idOf(list []any) string {
	var id kadm.TopicID
	for i, n := range list {
		number, _ := n.(json.Number)
		b, err := number.Int64()
		if err != nil {
			panic(err) // the list was a [16]byte
		}
		id[i] = byte(b)
	}
	return idText(id)
}

// keyVersion is the two bytes that say what kind of record a key names.
func keyVersion(key []byte) int {
	if len(key) < 2 {
		return -1
	}
	return int(key[0])<<8 | int(key[1])
}

// decodeOffsets decodes __consumer_offsets: keys 0 and 1 are commits, 2 is a
// group's metadata.
func decodeOffsets(key, value []byte) (any, any) {
	switch keyVersion(key) {
	case 0, 1:
		k, v := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
		return decoded(key, &k), decoded(value, &v)
	case 2:
		k, v := kmsg.NewGroupMetadataKey(), kmsg.NewGroupMetadataValue()
		return decoded(key, &k), decoded(value, &v)
	}
	return textOf(key), textOf(value)
}

// decodeTransactions decodes __transaction_state: key 0 is a transactional id.
func decodeTransactions(key, value []byte) (any, any) {
	if keyVersion(key) != 0 {
		return textOf(key), textOf(value)
	}
	k, v := kmsg.NewTxnMetadataKey(), kmsg.NewTxnMetadataValue()
	return decoded(key, &k), decoded(value, &v)
}

// jsonText is JSON that prints as itself.
type jsonText []byte

func (t jsonText) String() string               { return string(t) }
func (t jsonText) MarshalJSON() ([]byte, error) { return t, nil }

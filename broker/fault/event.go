package fault

import (
	"encoding/binary"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// An Event is one request, as far as rules look at it.
type Event struct {
	Key             int16    `json:"key"`
	Version         int16    `json:"version"`
	Conn            int64    `json:"connection"` // the client's, counted by whoever serves it
	Node            int32    `json:"node"`       // the broker that it goes to; -1 is not known yet
	ClientID        string   `json:"client"`     // "" for none
	Groups          []string `json:"groups,omitempty"`
	TransactionalID string   `json:"txid,omitempty"`
	ProducerID      int64    `json:"pid"` // -1 for none
	ProducerEpoch   int16    `json:"epoch"`
	Parts           []Part   `json:"parts,omitempty"`
}

// A Part is one topic, or partition of it, that a request names.
type Part struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"` // -1: the topic as a whole
	// Of the record batch that a Produce has for it; -1 for none.
	ProducerID    int64 `json:"pid"`
	ProducerEpoch int16 `json:"epoch"`
	Sequence      int32 `json:"seq"`
}

// API is the name of what is asked.
func (e *Event) API() string { return kmsg.NameForKey(e.Key) }

// Describe adds to e what the body of its request names. topic gives the name of
// a topic id, "" where it is not known.
//
// kmsg names the same thing alike in nearly all requests, so that one walk by the
// names of fields serves them all.
func (e *Event) Describe(r kmsg.Request, topic func(id [16]byte) string) {
	e.ProducerID, e.ProducerEpoch = -1, -1
	d := describing{event: e, topic: topic}
	d.walk(reflect.ValueOf(r).Elem(), Part{Partition: -1, ProducerID: -1, ProducerEpoch: -1, Sequence: -1})
	switch r := r.(type) {
	case *kmsg.FindCoordinatorRequest:
		d.coordinator(r)
	case *kmsg.DeleteTopicsRequest:
		for _, name := range r.TopicNames {
			e.Parts = append(e.Parts, Part{Topic: name, Partition: -1, ProducerID: -1, ProducerEpoch: -1, Sequence: -1})
		}
	}
	if e.ProducerID < 0 && len(e.Parts) > 0 { // of a Produce
		e.ProducerID, e.ProducerEpoch = e.Parts[0].ProducerID, e.Parts[0].ProducerEpoch
	}
}

type describing struct {
	event *Event
	topic func(id [16]byte) string
}

// walk takes one structure, and those within it; at is where it stands.
func (d *describing) walk(v reflect.Value, at Part) {
	named, told := d.own(v, &at), false
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Slice {
			continue
		}
		partitions := at.Topic != "" && v.Type().Field(i).Name == "Partitions"
		switch f.Type().Elem().Kind() {
		case reflect.Struct:
			for j := range f.Len() {
				d.walk(f.Index(j), at)
			}
		case reflect.Int32:
			if !partitions {
				continue
			}
			for j := range f.Len() {
				part := at
				part.Partition = int32(f.Index(j).Int())
				d.event.Parts = append(d.event.Parts, part)
			}
		default:
			continue
		}
		told = told || partitions && f.Len() > 0
	}
	if named && !told {
		d.event.Parts = append(d.event.Parts, at)
	}
}

// own takes the fields of one structure. named says that it is a topic, or a
// partition of one.
func (d *describing) own(v reflect.Value, at *Part) (named bool) {
	e := d.event
	for i := range v.NumField() {
		f := v.Field(i)
		switch name := v.Type().Field(i).Name; name {
		case "Group":
			if group := text(f); group != "" {
				e.Groups = append(e.Groups, group)
			}
		case "Groups":
			if f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.String {
				for j := range f.Len() {
					e.Groups = append(e.Groups, f.Index(j).String())
				}
			}
		case "TransactionID", "TransactionalID":
			if id := text(f); id != "" {
				e.TransactionalID = id
			}
		case "ProducerID":
			e.ProducerID = f.Int()
		case "ProducerEpoch":
			e.ProducerEpoch = int16(f.Int())
		case "Topic":
			if t := text(f); t != "" {
				at.Topic, named = t, true
			}
		case "TopicID":
			if id, ok := f.Interface().([16]byte); ok && id != [16]byte{} && at.Topic == "" {
				at.Topic = d.topic(id)
				named = named || at.Topic != ""
			}
		case "Partition":
			if at.Topic != "" && f.Kind() == reflect.Int32 {
				at.Partition, named = int32(f.Int()), true
			}
		case "Records":
			if f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Uint8 {
				at.batch(f.Bytes())
			}
		}
	}
	return named
}

// text is a string that may be null.
func text(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.String {
		return ""
	}
	return v.String()
}

// batch takes who wrote a record batch from its header (KIP-98).
func (p *Part) batch(b []byte) {
	const header, magic = 61, 16
	if len(b) < header || b[magic] != 2 {
		return
	}
	p.ProducerID = int64(binary.BigEndian.Uint64(b[43:]))
	p.ProducerEpoch = int16(binary.BigEndian.Uint16(b[51:]))
	p.Sequence = int32(binary.BigEndian.Uint32(b[53:]))
}

// coordinator takes what a client wants the coordinator of: 0 is a group, 1 a
// transactional id.
func (d *describing) coordinator(r *kmsg.FindCoordinatorRequest) {
	keys := r.CoordinatorKeys
	if r.Version < 4 {
		keys = []string{r.CoordinatorKey}
	}
	for _, key := range keys {
		switch r.CoordinatorType {
		case 0:
			d.event.Groups = append(d.event.Groups, key)
		case 1:
			d.event.TransactionalID = key
		}
	}
}

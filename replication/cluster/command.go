package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// commandVersion is the newest form of commands this program writes and reads.
const commandVersion = 1

// A command is one record of the metadata log: exactly one of its pointers is
// set. It holds everything that its effect depends on, so that every node
// computes the same state. The form is described in docs/format/metadata.md.
type command struct {
	Version int `json:"v"`

	Found        *found         `json:"found,omitempty"`
	Register     *Broker        `json:"registerBroker,omitempty"`
	Unregister   *unregister    `json:"unregisterBroker,omitempty"`
	CreateTopic  *Topic         `json:"createTopic,omitempty"`
	DeleteTopic  *deleteTopic   `json:"deleteTopic,omitempty"`
	AddPartition *addPartitions `json:"addPartitions,omitempty"`

	ChangePartitions *changePartitions `json:"changePartitions,omitempty"`

	SetConfigs  *setConfigs  `json:"setConfigs,omitempty"`
	SetFeature  *setFeature  `json:"setFeature,omitempty"`
	ProducerIDs *producerIDs `json:"producerIds,omitempty"`
	SetQuotas   *setQuotas   `json:"setQuotas,omitempty"`
}

// found makes the cluster: the first command of every metadata log.
type found struct {
	ClusterID string           `json:"clusterId"`
	Features  map[string]int16 `json:"features"`
}

type unregister struct {
	Broker int32 `json:"broker"`
}

type deleteTopic struct {
	ID   UUID  `json:"id"`
	Time int64 `json:"time"`
}

// addPartitions appends partitions to a topic.
type addPartitions struct {
	ID         UUID        `json:"id"`
	Partitions []Partition `json:"partitions"`
}

// changePartitions replaces the records of partitions.
type changePartitions struct {
	ID         UUID                `json:"id"`
	Partitions map[int32]Partition `json:"partitions"`
}

// setConfigs changes dynamic configurations; null removes one.
type setConfigs struct {
	Resource Resource           `json:"resource"`
	Values   map[string]*string `json:"values"`
}

// setFeature finalizes a feature; level 0 takes it off.
type setFeature struct {
	Name  string `json:"name"`
	Level int16  `json:"level"`
}

// producerIDs grants a block of producer ids to a broker.
type producerIDs struct {
	Broker int32 `json:"broker"`
	First  int64 `json:"first"`
	Count  int32 `json:"count"`
}

var errCommand = errors.New("not a metadata command")

// encode is the value of the command's record.
func (c command) encode() []byte {
	c.Version = commandVersion
	b, err := json.Marshal(c)
	if err != nil {
		panic("cluster: command does not encode: " + err.Error()) // our own types always do
	}
	return b
}

// decodeCommand reads a record's value. It refuses what it does not fully
// understand: a node must not go on with metadata it has only half applied.
func decodeCommand(value []byte) (command, error) {
	var form struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(value, &form); err != nil {
		return command{}, fmt.Errorf("%w: %w", errCommand, err)
	}
	if form.Version < 1 || form.Version > commandVersion {
		return command{}, fmt.Errorf("version %d, this program reads 1 to %d: %w", form.Version, commandVersion, errCommand)
	}
	var c command
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return command{}, fmt.Errorf("%w: %w", errCommand, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return command{}, fmt.Errorf("bytes after the command: %w", errCommand)
	}
	return c, c.check()
}

// check says whether the command can be applied to some state at all.
func (c command) check() error {
	set := 0
	for _, one := range []bool{
		c.Found != nil, c.Register != nil, c.Unregister != nil, c.CreateTopic != nil, c.DeleteTopic != nil,
		c.AddPartition != nil, c.ChangePartitions != nil, c.SetConfigs != nil, c.SetFeature != nil, c.ProducerIDs != nil, c.SetQuotas != nil,
	} {
		if one {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("%d commands in one record, want 1: %w", set, errCommand)
	}
	switch {
	case c.Found != nil && c.Found.ClusterID == "":
		return fmt.Errorf("empty cluster id: %w", errCommand)
	case c.CreateTopic != nil && (c.CreateTopic.Name == "" || c.CreateTopic.ID == UUID{} || len(c.CreateTopic.Partitions) == 0):
		return fmt.Errorf("topic without name, id or partitions: %w", errCommand)
	case c.ProducerIDs != nil && (c.ProducerIDs.Count <= 0 || c.ProducerIDs.First < 0 || c.ProducerIDs.First+int64(c.ProducerIDs.Count) < 0):
		return fmt.Errorf("producer ids from %d, %d of them: %w", c.ProducerIDs.First, c.ProducerIDs.Count, errCommand)
	case c.SetQuotas != nil && len(c.SetQuotas.Entity) == 0:
		return fmt.Errorf("quotas of nobody: %w", errCommand)
	case c.SetFeature != nil && (c.SetFeature.Name == "" || c.SetFeature.Level < 0):
		return fmt.Errorf("feature %q level %d: %w", c.SetFeature.Name, c.SetFeature.Level, errCommand)
	}
	return nil
}

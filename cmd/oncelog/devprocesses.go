package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clusterFile is where dev --processes says how its cluster is reached, in the
// folder of the data.
const clusterFile = "cluster.json"

// A clusterFileOf is what clusterFile holds.
type clusterFileOf struct {
	ClusterID string        `json:"cluster_id"`
	Bootstrap string        `json:"bootstrap"`
	PID       int           `json:"pid"` // of the process that started the brokers
	Control   string        `json:"control"`
	Token     string        `json:"token"` // whoever may read this file may use Control
	Nodes     []childStatus `json:"nodes"`
	Links     []string      `json:"links"` // that are cut or slow
}

// runProcesses runs a cluster of processes until ctx ends.
func (a *app) runProcesses(ctx context.Context, f *devFlags, properties map[string]string, topics []newTopic, dir string) (err error) {
	began := time.Now()
	if err := f.setCommon(properties, dir); err != nil {
		return err
	}
	var writing sync.Mutex
	c, err := a.newChildren(f, properties, dir, func(id int32) io.Writer {
		return &prefixed{prefix: fmt.Sprintf("[%d] ", id), mu: &writing, out: a.err}
	})
	if err != nil {
		return err
	}
	control, err := newControl(c, properties["cluster.id"], dir)
	if err != nil {
		return errors.Join(err, c.close())
	}
	defer func() { err = errors.Join(err, control.close(), c.close(), control.record.remove()) }()
	if err := c.startAll(ctx); err != nil {
		return err
	}
	if err := createTopics(ctx, c.Bootstrap(), topics); err != nil {
		return err
	}
	a.banner(bannerOf{
		title: fmt.Sprintf("oncelog %s · development cluster of processes (data in %s; try: oncelog cluster kill 1)", version, dir),
		dirs:  dir, clusterID: properties["cluster.id"], began: began, nodes: c.bannerNodes(),
	})
	<-ctx.Done()
	return nil
}

// createTopics creates those that are not there.
func createTopics(ctx context.Context, bootstrap []string, topics []newTopic) error {
	if len(topics) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(int32(time.Minute.Milliseconds())) // thousands of partitions take their time
	for _, t := range topics {
		if _, err := admin.CreateTopic(ctx, t.partitions, -1, nil, t.name); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", t.name, err)
		}
	}
	return nil
}

// A clusterRecord keeps clusterFile up to date.
type clusterRecord struct {
	path     string
	children *children

	mu   sync.Mutex
	file clusterFileOf
}

// write replaces the file as a whole: somebody may be reading it.
func (r *clusterRecord) write() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file.Nodes, r.file.Links = r.children.status(), r.children.mesh.Ways()
	text, err := json.MarshalIndent(r.file, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", clusterFile, err)
	}
	return os.Rename(r.path+".new", r.path)
}

// remove takes the file away at the end.
func (r *clusterRecord) remove() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return os.Remove(r.path)
}

// readClusterFile finds the cluster that dir, or the only one that a temporary
// folder holds, is of.
func readClusterFile(dir string) (f clusterFileOf, err error) {
	found := []string{filepath.Join(dir, clusterFile)}
	if dir == "" {
		if found, err = filepath.Glob(filepath.Join(os.TempDir(), devPrefix+"*", clusterFile)); err != nil {
			return f, err
		}
	}
	switch {
	case len(found) == 0:
		return f, usage("no cluster of processes runs in a temporary folder: start one with: oncelog dev --brokers 3 --processes, or name its folder with --dir")
	case len(found) > 1:
		return f, usage("several clusters of processes: choose one with --dir: %s", strings.ReplaceAll(strings.Join(found, " "), string(filepath.Separator)+clusterFile, ""))
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		return f, usage("no cluster of processes has its data there: %w", err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("%s: %w", found[0], err)
	}
	return f, nil
}

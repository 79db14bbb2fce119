package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A replicaReport is what a comparison of the replicas found, after a run.
type replicaReport struct {
	Partitions int `json:"partitions"`
	Settled    int `json:"settled"`   // whose replicas ended with the same entry
	Entries    int `json:"entries"`   // above the boundaries
	Records    int `json:"records"`   // below
	Installed  int `json:"installed"` // how often a follower was given its leader's boundary

	differences []string
}

// compareReplicas holds the replicas of every partition against each other, in the
// folders of brokers that have ended (promise 23).
func compareReplicas(ctx context.Context, dir string) (r replicaReport, err error) {
	folders, err := brokerFolders(dir)
	if err != nil {
		return r, err
	}
	err = compareAll(ctx, folders, func(c comparison) error {
		r.Partitions++
		r.Entries += c.Entries
		r.Records += c.Records
		if c.Settled {
			r.Settled++
		}
		for _, d := range c.Differences {
			r.differences = append(r.differences, fmt.Sprintf("%s: %v", c.Partition, d))
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	r.Installed, err = countInstalled(dir)
	return r, err
}

// brokerFolders lists the data folders of a run: 1, 2 and so on.
func brokerFolders(dir string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(name string) bool {
		info, err := os.Stat(name)
		return err != nil || !info.IsDir()
	}), nil
}

// countInstalled counts in the brokers' logs how often a follower was given its
// leader's boundary, because it had been away for longer than its leader kept.
func countInstalled(dir string) (n int, err error) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return 0, err
	}
	for _, name := range logs {
		file, err := os.Open(name)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if strings.Contains(lines.Text(), `"msg":"installed the leader's boundary"`) {
				n++
			}
		}
		if err := lines.Err(); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
	}
	return n, nil
}

//go:build synctests

package sim_test

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/conformance/verify"
	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/compare"
	"github.com/oncelog/oncelog/log/vfs"
)

// dataFolder is where a broker of brokertest keeps its partitions.
const dataFolder = "data"

// compareReplicas ends all brokers at one moment and holds the replicas of every
// partition against each other (promise 23): replica-differs, and
// replica-behind for one that has not come to the end of the log.
func compareReplicas(c *brokertest.Cluster) (found []verify.Anomaly, err error) {
	for _, node := range nodes {
		c.Crash(node, vfs.Killed, 0)
	}
	holders := make(map[string]int) // of a partition's folder
	for _, node := range nodes {
		names, err := compare.Partitions(c.Faults(node), dataFolder)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			holders[name]++
		}
	}
	for name, count := range holders {
		if count != len(nodes) {
			found = append(found, anomaly("replica-behind", "partition %s is on %d nodes, want %d", name, count, len(nodes)))
			continue
		}
		report, err := compareFolders(c, name)
		if err != nil {
			return found, fmt.Errorf("%s: %w", name, err)
		}
		for _, d := range report.Differences {
			found = append(found, anomaly("replica-differs", "%s: %v", name, d))
		}
		if !report.Settled {
			found = append(found, anomaly("replica-behind", "%s: %+v", name, report.Positions))
		}
	}
	return found, nil
}

func compareFolders(c *brokertest.Cluster, name string) (report compare.Report, err error) {
	var replicas []compare.Replica
	for _, node := range nodes {
		l, err := log.Open(filepath.Join(dataFolder, name), log.Config{}, log.Options{FS: c.Faults(node)})
		if err != nil {
			return report, err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		replicas = append(replicas, compare.Replica{Name: brokertest.HostName(node), Log: l})
	}
	return compare.Replicas(replicas), nil
}

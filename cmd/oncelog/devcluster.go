package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/oncelog/oncelog/broker"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/replication/cluster"
)

// ownSettings are those that dev chooses itself for each of several brokers.
var ownSettings = []string{
	"node.id", "broker.id", "listeners", "advertised.listeners", "controller.listener.names", "controller.quorum.voters",
}

// nodes makes the brokers of dev in the folder dir: one with the properties as
// they are, or a cluster, each with a folder of its own below dir.
func (f *devFlags) nodes(properties map[string]string, dir string) ([]*node, error) {
	if f.brokers == 1 {
		properties["log.dirs"] = dir
		n := &node{properties: properties}
		if !f.headless {
			n.httpAddr = fmt.Sprintf("localhost:%d", f.httpPort)
		}
		return []*node{n}, refuseCluster(dir)
	}
	if err := f.setCommon(properties, dir); err != nil {
		return nil, err
	}
	return f.cluster(properties, dir)
}

// setCommon adds to the properties what all brokers of a cluster share.
func (f *devFlags) setCommon(properties map[string]string, dir string) error {
	for _, name := range ownSettings {
		if value, ok := properties[name]; ok {
			return usage("%s=%s with --brokers %d: dev chooses it for each broker; to choose it yourself use: oncelog serve", name, value, f.brokers)
		}
	}
	clusterID, err := clusterIn(dir, f.brokers)
	if err != nil {
		return err
	}
	setDefault(properties, "cluster.id", clusterID)
	setDefault(properties, "default.replication.factor", "3")
	return nil
}

func setDefault(properties map[string]string, name, value string) {
	if _, configured := properties[name]; !configured {
		properties[name] = value
	}
}

// cluster takes a controller port for each broker and tells all of them.
func (f *devFlags) cluster(common map[string]string, dir string) (nodes []*node, err error) {
	var voters []string
	for i := range f.brokers {
		id := strconv.Itoa(i + 1)
		controller, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, n := range nodes {
				err = errors.Join(err, n.controller.Close())
			}
			return nil, fmt.Errorf("take a port for the controller of broker %s: %w", id, err)
		}
		voters = append(voters, id+"@"+controller.Addr().String())
		n := &node{controller: controller, properties: map[string]string{
			"node.id": id, "log.dirs": filepath.Join(dir, id), "controller.listener.names": "CONTROLLER",
			"listeners": fmt.Sprintf("PLAINTEXT://localhost:%d,CONTROLLER://%s", next(f.port, i), controller.Addr()),
		}}
		if !f.headless {
			n.httpAddr = fmt.Sprintf("localhost:%d", next(f.httpPort, i))
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		for name, value := range common {
			setDefault(n.properties, name, value)
		}
		n.properties["controller.quorum.voters"] = strings.Join(voters, ",")
	}
	return nodes, nil
}

// next is the port of broker i when the first has port; 0 is any free one.
func next(port, i int) int {
	if port == 0 {
		return 0
	}
	return port + i
}

// clusterIn is the id of the cluster of n brokers whose folders lie in dir, or a
// new one where there are none.
func clusterIn(dir string, n int) (clusterID string, err error) {
	if _, found, err := broker.ReadFolder(dir); err != nil {
		return "", err
	} else if found {
		return "", usage("%s holds the data of one broker: use --brokers 1, or another folder", dir)
	}
	folders, err := foldersIn(dir)
	if err != nil {
		return "", err
	}
	if len(folders) == 0 {
		return cluster.NewUUID().String(), nil
	}
	if len(folders) != n {
		return "", usage("%s holds the data of %d brokers, not %d: use --brokers %d, or another folder", dir, len(folders), n, len(folders))
	}
	return folders[0].ClusterID, nil
}

// refuseCluster refuses a single broker above the folders of several.
func refuseCluster(dir string) error {
	folders, err := foldersIn(dir)
	if err != nil || len(folders) == 0 {
		return err
	}
	return usage("%s holds the data of %d brokers: use --brokers %d, or another folder", dir, len(folders), len(folders))
}

// foldersIn lists the folders of brokers below dir: 1, 2 and so on.
func foldersIn(dir string) (folders []broker.Folder, err error) {
	for i := 1; ; i++ {
		folder, found, err := broker.ReadFolder(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil || !found {
			return folders, err
		}
		folders = append(folders, folder)
	}
}

// holdFolder keeps a second dev off the folder of a cluster, and tells a later
// one that this one lives (see removeIfLeft).
func holdFolder(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("log.dirs: %w", err)
	}
	held, err := vfs.OS.Lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("log.dirs: folder %s is in use by another process: %w", dir, err)
	}
	return held, nil
}

package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/oncelog/oncelog/log/vfs"
)

const (
	// formatName is the file that says what wrote the folder.
	formatName = "oncelog.json"
	// formatVersion is the newest layout of a folder that this program knows. Since
	// 2 rows of .raft hold small payloads, which a program of before would not find.
	formatVersion = 2
)

// A format says whose folder it is. The file is described in docs/format/folder.md.
type format struct {
	Version   int    `json:"version"`
	NodeID    int32  `json:"node.id"`
	ClusterID string `json:"cluster.id,omitempty"` // of several nodes; empty: this one is alone
	// Nodes are where this node last knew the others.
	Nodes map[int32]string `json:"nodes,omitempty"`

	// grown says that a broker that was alone, and founded the cluster so, takes
	// others from now on.
	grown bool
}

// checkFormat marks a new folder as want says, and refuses one of a newer
// program, of another node or of another cluster. It returns the nodes that the
// folder remembers.
//
// Errors: ErrNewerFormat.
func checkFormat(files vfs.FS, dir string, want format) (nodes map[int32]string, err error) {
	f, found, err := readFormat(files, dir)
	if err != nil {
		return nil, err
	}
	nodes = map[int32]string{}
	maps.Copy(nodes, f.Nodes)
	switch {
	case !found, f.NodeID == want.NodeID && f.ClusterID == "" && want.grown:
		want.Version = formatVersion
		return nodes, writeFormat(files, dir, want)
	case f.NodeID == want.NodeID && f.ClusterID == want.ClusterID && f.Version < formatVersion:
		f.Version = formatVersion // what is written from now on older programs do not know
		return nodes, writeFormat(files, dir, f)
	case f.NodeID == want.NodeID && f.ClusterID == want.ClusterID:
		return nodes, nil
	}
	return nil, f.notOf(dir, want)
}

// notOf says why a folder is not the one that is wanted.
func (f format) notOf(dir string, want format) error {
	switch {
	case f.NodeID != want.NodeID:
		return fmt.Errorf("%s belongs to node.id %d, not %d", dir, f.NodeID, want.NodeID)
	case f.ClusterID == "":
		return fmt.Errorf("%s belongs to a broker that was alone; a node of cluster.id %q wants an empty folder or its own", dir, want.ClusterID)
	case want.ClusterID == "":
		return fmt.Errorf("%s belongs to a node of cluster.id %q: controller.quorum.voters must name the nodes of that cluster", dir, f.ClusterID)
	}
	return fmt.Errorf("%s belongs to cluster.id %q, not %q: set that cluster.id, or name another folder", dir, f.ClusterID, want.ClusterID)
}

// rememberNodes writes down where the other nodes are.
func rememberNodes(files vfs.FS, dir string, nodes map[int32]string) error {
	f, found, err := readFormat(files, dir)
	if err != nil || !found || maps.Equal(f.Nodes, nodes) {
		return err
	}
	f.Nodes = nodes
	return writeFormat(files, dir, f)
}

// readFormat reads what checkFormat has written.
func readFormat(files vfs.FS, dir string) (f format, found bool, err error) {
	name := filepath.Join(dir, formatName)
	text, err := readFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, false, nil
	}
	if err != nil {
		return f, false, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, false, fmt.Errorf("%s: %w", name, err)
	}
	if f.Version > formatVersion {
		return f, true, fmt.Errorf("%s has version %d, this program knows %d: %w", name, f.Version, formatVersion, ErrNewerFormat)
	}
	return f, true, nil
}

// A Folder says whose a folder is.
type Folder struct {
	NodeID    int32
	ClusterID string // empty: of a broker that is alone
}

// ReadFolder says whose the folder dir of the operating system's file system
// is; found is false when it is no broker's.
//
// Errors: ErrNewerFormat.
func ReadFolder(dir string) (folder Folder, found bool, err error) {
	f, found, err := readFormat(vfs.OS, dir)
	return Folder{f.NodeID, f.ClusterID}, found, err
}

func readFile(files vfs.FS, name string) ([]byte, error) {
	f, err := files.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	text := make([]byte, size)
	if _, err := f.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, f.Close())
	}
	return text, f.Close()
}

// writeFormat writes the file whole or not at all.
func writeFormat(files vfs.FS, dir string, content format) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	part := filepath.Join(dir, formatName+".part")
	f, err := files.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := files.Rename(part, filepath.Join(dir, formatName)); err != nil {
		return err
	}
	if err := files.SyncDir(dir); err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(dir)) // the folder itself is new
}

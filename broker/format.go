package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oncelog/oncelog/log/vfs"
)

const (
	// formatName is the file that says what wrote the folder.
	formatName = "oncelog.json"
	// formatVersion is the newest layout of a folder that this program knows.
	formatVersion = 1
)

// A format says whose folder it is. The file is described in docs/format/folder.md.
type format struct {
	Version int   `json:"version"`
	NodeID  int32 `json:"node.id"`
}

// checkFormat marks a new folder, and refuses one of a newer program or of
// another node.
//
// Errors: ErrNewerFormat.
func checkFormat(files vfs.FS, dir string, node int32) error {
	name := filepath.Join(dir, formatName)
	text, err := readFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFormat(files, dir, format{Version: formatVersion, NodeID: node})
	}
	if err != nil {
		return err
	}
	var f format
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case f.Version > formatVersion:
		return fmt.Errorf("%s has version %d, this program knows %d: %w", name, f.Version, formatVersion, ErrNewerFormat)
	case f.NodeID != node:
		return fmt.Errorf("%s belongs to node.id %d, not %d", dir, f.NodeID, node)
	}
	return nil
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

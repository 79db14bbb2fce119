package broker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/oncelog/oncelog/log/vfs"
)

func TestFolderIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		node    int32
		cluster string
		want    error // nil: any
		ok      bool
	}{
		"its own":            {`{"version":1,"node.id":3}`, 3, "", nil, true},
		"of a newer program": {`{"version":3,"node.id":3}`, 3, "", ErrNewerFormat, false},
		"of another node":    {`{"version":1,"node.id":4}`, 3, "", nil, false},
		"damaged":            {`{"version":`, 3, "", nil, false},
		"of its cluster":     {`{"version":1,"node.id":3,"cluster.id":"a"}`, 3, "a", nil, true},
		"of another cluster": {`{"version":1,"node.id":3,"cluster.id":"b"}`, 3, "a", nil, false},
		"of no cluster":      {`{"version":1,"node.id":3}`, 3, "a", nil, false},
		"of a cluster":       {`{"version":1,"node.id":3,"cluster.id":"a"}`, 3, "", nil, false},
	} {
		files := vfs.NewMem()
		if err := files.MkdirAll("d", 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := files.OpenFile("d/"+formatName, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(c.text), 0); err != nil {
			t.Fatal(err)
		}
		_, err = checkFormat(files, "d", format{NodeID: c.node, ClusterID: c.cluster})
		if (err == nil) != c.ok || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := readFile(files, "d/"+formatName); err != nil || !c.ok && string(left) != c.text {
			t.Errorf("%s: a folder that was refused says %s, %v", name, left, err)
		}
		if left, _, err := readFormat(files, "d"); c.ok && (err != nil || left.Version != formatVersion || left.ClusterID != c.cluster) {
			t.Errorf("%s: %+v, %v; want version %d, as an older program would not find what is written now", name, left, err, formatVersion)
		}
	}
}

func TestNewFolderIsMarkedWhole(t *testing.T) {
	files := vfs.NewMem()
	if err := files.MkdirAll("d", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := checkFormat(files, "d", format{NodeID: 3}); err != nil {
		t.Fatal(err)
	}
	files.Crash(vfs.Lost, 0)
	if _, err := checkFormat(files, "d", format{NodeID: 3}); err != nil {
		t.Errorf("after a crash: %v", err)
	}
	if _, err := checkFormat(files, "d", format{NodeID: 4}); err == nil {
		t.Error("another node's folder was accepted")
	}
}

// docs/format/folder.md: what a broker keeps only its owner reads.
func TestFolderIsTheOwners(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	dir := filepath.Join(t.TempDir(), "data")
	b, err := Open(t.Context(), Config{Properties: map[string]string{"log.dirs": dir, "listeners": "PLAINTEXT://127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	withTopic(t, b, "t", 1)
	if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

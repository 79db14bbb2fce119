package log

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oncelog/oncelog/log/vfs"
)

// A payload lies in its row if there is room, else in a file of its own; both are
// there again after a restart, in order or not, and behind a truncation.
func TestWhereAPayloadLies(t *testing.T) {
	const room = 28 // of docs/format/raft-sidecar.md
	for _, size := range []int{0, 1, 16, 17, room, room + 1, 400} {
		fs := newDisk()
		l := mustOpen(t, fs, Config{})
		payload := []byte(strings.Repeat("\xff\x00z", size/3+1)[:size])
		putKind(t, l, 1, KindConfiguration, payload)
		put(t, l, plain(1, 1))
		putKind(t, l, 1, KindConfiguration, payload)
		putKind(t, l, 1, KindLogStart, LogStartPayload(0))
		_, err := fs.Stat(filesOf(l.dir, 0).payload)
		if beside := err == nil; beside != (size > room) {
			t.Errorf("%d bytes: a file beside the rows %v, want %v", size, beside, size > room)
		}
		row, err := l.Row(1)
		if err != nil || row.MaxTimestamp != -1 || row.ProducerID != -1 || row.Size != int32(size) {
			t.Errorf("%d bytes: row %+v, %v", size, row, err)
		}
		want := contents(t, l)
		if !bytes.HasSuffix([]byte(want[0]), []byte(hexOf(payload))) {
			t.Errorf("%d bytes: entry %s", size, want[0])
		}
		killed := fs.Clone()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		for how, disk := range map[string]*vfs.Mem{"killed": killed, "closed": fs} {
			again := mustOpen(t, disk, Config{})
			if got := contents(t, again); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%d bytes, %s: %q, want %q", size, how, got, want)
			}
			if err := again.TruncateSuffix(3); err != nil {
				t.Fatal(err)
			}
			putKind(t, again, 2, KindConfiguration, payload)
			if got, err := again.Row(3); err != nil || got.Term != 2 || int(got.PayloadPosition) != filed(size, room) {
				t.Errorf("%d bytes, %s, after a truncation: %+v, %v", size, how, got, err)
			}
		}
	}
}

// filed is what one payload takes of the file.
func filed(size, room int) int {
	if size > room {
		return size
	}
	return 0
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var text strings.Builder
	for _, c := range b {
		text.WriteByte(digits[c>>4])
		text.WriteByte(digits[c&15])
	}
	return text.String()
}

// A file of payloads that is gone is not taken for one that never was.
func TestMissingPayloadFileIsReported(t *testing.T) {
	for _, closed := range []bool{true, false} {
		fs := newDisk()
		l := mustOpen(t, fs, Config{})
		putKind(t, l, 1, KindNoop, nil)
		putKind(t, l, 1, KindConfiguration, make([]byte, maxInline+1))
		put(t, l, plain(1, 1))
		disk := fs.Clone()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if closed {
			disk = fs
		}
		if err := disk.Remove(filesOf(l.dir, 0).payload); err != nil {
			t.Fatal(err)
		}
		if again, err := Open(l.dir, Config{}, Options{FS: disk}); err == nil || !strings.Contains(err.Error(), payloadSuffix) {
			t.Errorf("closed %v: opened with %d entries, %v", closed, again.LastIndex(), err)
		}
	}
}

// A row that says it holds more than there is room for, or what no such row holds.
func TestRowOfAnImpossiblePayload(t *testing.T) {
	for name, r := range map[string]Row{
		"too long":       {Index: 1, Kind: KindConfiguration, Size: maxInline + 1, CRC: checksum([]byte("a")), inline: "a"},
		"empty":          {Index: 1, Kind: KindConfiguration, inline: "a"},
		"of a batch":     {Index: 1, Kind: KindBatch, Count: 1, Size: 1, CRC: checksum([]byte("a")), inline: "a"},
		"of a void row":  {Index: 1, Kind: KindVoid, Size: 1, CRC: checksum([]byte("a")), inline: "a"},
		"other than sum": {Index: 1, Kind: KindConfiguration, Size: 1, CRC: 7, inline: "a"},
	} {
		if got, err := decodeRow(appendRow(nil, r)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// The folder testdata/older was written by a program that marked each partition's
// folder, and put all payloads into a file; it was killed.
func TestFolderOfAnOlderProgram(t *testing.T) {
	fs := newDisk()
	dir := filepath.FromSlash(testDir)
	files, err := os.ReadDir(filepath.Join("testdata", "older"))
	if err := errors.Join(err, fs.MkdirAll(dir, dirPerm)); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join("testdata", "older", f.Name()))
		if err := errors.Join(err, writeFile(fs, filepath.Join(dir, f.Name()), b, true)); err != nil {
			t.Fatal(err)
		}
	}
	l := mustOpen(t, fs, Config{})
	list := contents(t, l)
	if len(list) != 5 || !strings.HasPrefix(list[0], "1 1 configuration 0 81a753657276657273") {
		t.Fatalf("%d entries: %q", len(list), list)
	}
	if l.EndOffset() != 3 {
		t.Errorf("log ends at offset %d, want 3", l.EndOffset())
	}
	put(t, l, plain(1, 1))
	putKind(t, l, l.LastTerm(), KindConfiguration, make([]byte, 40))
	want := contents(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, fs, Config{})
	if got := contents(t, again); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("opened again: %q, want %q", got, want)
	}
	if row, err := again.Row(7); err != nil || row.PayloadPosition != 36 {
		t.Errorf("second payload: %+v, %v; want it behind the first, at 36", row, err)
	}
}

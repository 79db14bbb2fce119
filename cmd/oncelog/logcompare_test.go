package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol/record"
)

// replicaFolders makes data folders that hold a partition each, with these
// values as its records.
func replicaFolders(t *testing.T, replicas ...[]string) (folders []string) {
	t.Helper()
	for _, values := range replicas {
		folder := t.TempDir()
		l, err := log.Open(filepath.Join(folder, strings.Repeat("0", 31)+"1-0"), log.Config{}, log.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			b := record.NewBuilder(record.NoProducer())
			b.Append(record.Record{Timestamp: 1, Key: []byte("k"), Value: []byte(value)})
			if err := l.Append([]log.Entry{{Index: l.LastIndex() + 1, Term: 1, Kind: log.KindBatch, Data: b.Build(), LeaderAppend: true}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, folder)
	}
	return folders
}

// log dump --compare says which replicas are equal, tells the first difference,
// and changes nothing.
func TestLogDumpCompare(t *testing.T) {
	equal := replicaFolders(t, []string{"a", "b"}, []string{"a", "b"}, []string{"a"})
	out, err := command(t, append([]string{"log", "dump", "--verify", "--compare"}, equal...)...).Output()
	if err != nil || !strings.Contains(string(out), "equal as far as all reach up to offset 1") || !strings.Contains(string(out), "1 partitions, 3 entries") {
		t.Errorf("equal replicas: %v\n%s", err, out)
	}

	differs := replicaFolders(t, []string{"a", "b"}, []string{"a", "c"})
	name := filepath.Join(differs[0], strings.Repeat("0", 31)+"1-0", "00000000000000000000.log")
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, append([]string{"log", "dump", "--compare", "-o", "json"}, differs...)...)
	out, err = cmd.Output()
	var c comparison
	if err == nil || cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("exit %d, %v, want %d", cmd.ProcessState.ExitCode(), err, exitFailed)
	}
	if err := json.Unmarshal(out, &c); err != nil || len(c.Differences) != 1 || c.Differences[0].Kind != "entry" || c.Differences[0].Offset != 1 {
		t.Errorf("%v: %s, want one difference at offset 1", err, out)
	}
	after, err := os.ReadFile(name)
	if err != nil || string(after) != string(before) {
		t.Errorf("the folder was changed: %v", err)
	}

	folder := filepath.Dir(name)
	out, err = command(t, "log", "dump", "--compare", folder, filepath.Join(differs[1], filepath.Base(folder))).Output()
	if err == nil || !strings.Contains(string(out), "DIFFERENT") || !strings.Contains(string(out), "checksum is ") {
		t.Errorf("folders of one partition: %v\n%s", err, out)
	}
	if out, err := command(t, "log", "dump", "--compare", t.TempDir(), t.TempDir()).CombinedOutput(); err == nil || !strings.Contains(string(out), "hold no partition") {
		t.Errorf("empty folders: %v\n%s", err, out)
	}
}

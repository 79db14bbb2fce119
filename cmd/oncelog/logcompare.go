package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/compare"
	"github.com/oncelog/oncelog/log/vfs"
)

// A comparison is what log dump --compare says of one partition.
type comparison struct {
	Partition string `json:"partition"`
	compare.Report
}

// compare holds the replicas of one partition against each other, or those of
// all partitions that any of the data folders has.
func (a *app) compare(ctx context.Context, folders []string) error {
	if len(folders) < 2 {
		return usage("--compare wants two folders at least, one of each replica")
	}
	partitions, different, entries := 0, 0, 0
	err := compareAll(ctx, folders, func(c comparison) error {
		partitions++
		entries += c.Entries + c.Records
		if len(c.Differences) > 0 {
			different++
		}
		return a.printComparison(c)
	})
	if err != nil {
		return err
	}
	if different > 0 {
		return failed(exitFailed, "%d of %d partitions differ between their replicas", different, partitions)
	}
	if a.format != "json" {
		_, err = fmt.Fprintf(a.out, "%d partitions, %d entries and records compared: no difference\n", partitions, entries)
	}
	return err
}

// compareAll compares the replicas of each partition that any of the folders has.
func compareAll(ctx context.Context, folders []string, each func(comparison) error) error {
	partitions, err := partitionsOf(folders)
	if err != nil {
		return err
	}
	for _, name := range partitions {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := compareCopies(name, folders)
		if err != nil {
			return err
		}
		if err := each(c); err != nil {
			return err
		}
	}
	return nil
}

// partitionsOf lists the partitions of data folders; "" stands for folders that
// are partitions themselves.
func partitionsOf(folders []string) (all []string, err error) {
	for _, folder := range folders {
		names, err := compare.Partitions(vfs.OS, folder)
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
		logs, err := filepath.Glob(filepath.Join(folder, "*.log"))
		if err != nil {
			return nil, err
		}
		if len(logs) > 0 {
			all = append(all, "")
		}
	}
	if len(all) == 0 {
		return nil, usage("%v hold no partition; want data folders, or folders of one partition", folders)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// compareCopies compares copies of the folders: opening a log that was not
// closed ends it at the last whole entry, and nothing of the originals is changed.
func compareCopies(name string, folders []string) (c comparison, err error) {
	temporary, err := os.MkdirTemp("", "oncelog-compare-")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	var replicas []compare.Replica
	for i, folder := range folders {
		dir := filepath.Join(temporary, fmt.Sprint(i))
		if _, err := os.Stat(filepath.Join(folder, name)); errors.Is(err, fs.ErrNotExist) {
			continue // this broker holds no replica
		}
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(folder, name))); err != nil {
			return c, fmt.Errorf("copy %s: %w", filepath.Join(folder, name), err)
		}
		l, err := log.Open(dir, log.Config{}, log.Options{})
		if err != nil {
			return c, fmt.Errorf("%s: %w", filepath.Join(folder, name), err)
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		replicas = append(replicas, compare.Replica{Name: folder, Log: l})
	}
	c.Partition = name
	if name == "" {
		c.Partition = filepath.Base(folders[0])
	}
	c.Report = compare.Replicas(replicas)
	return c, nil
}

func (a *app) printComparison(c comparison) error {
	if a.format == "json" {
		return a.printJSON(c)
	}
	verdict := "equal"
	switch {
	case len(c.Differences) > 0:
		verdict = "DIFFERENT"
	case !c.Settled:
		verdict = "equal as far as all reach"
	}
	fmt.Fprintf(a.out, "%s: %s up to offset %d (%d entries, %d bytes, %d records)\n", c.Partition, verdict, c.Common, c.Entries, c.Bytes, c.Records)
	for _, p := range c.Positions {
		if len(c.Differences) > 0 || !c.Settled {
			fmt.Fprintf(a.out, "  %s: offsets %d to %d, bytes kept from %d, last entry %d of term %d\n", p.Name, p.LogStart, p.LogEnd, p.Boundary, p.LastIndex, p.LastTerm)
		}
	}
	for _, d := range c.Differences {
		if _, err := fmt.Fprintf(a.out, "  ! %v\n", d); err != nil {
			return err
		}
	}
	return nil
}

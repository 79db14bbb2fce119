package broker_test

import (
	"fmt"
	"maps"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/log/vfs"
)

// TestCrashSweep runs a workload of clients against a whole broker, and starts a
// broker on what the disk holds at moments of it: each with ONCELOG_SWEEP=full,
// else a sample by a seed. With oncelog.fsync=always the machine dies, in every
// way; by default the process. What clients had been told by then must hold.
func TestCrashSweep(t *testing.T) {
	seed, passes, stride := uint64(time.Now().UnixNano()), 1, 15
	if testing.Short() {
		stride = 150
	}
	if os.Getenv("ONCELOG_SWEEP") == "full" {
		passes, stride = 8, 8 // each has its share: all at once are too many disks
	}
	if text := os.Getenv("ONCELOG_SWEEP_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("ONCELOG_SWEEP_SEED=%d", seed)
	for fsync, modes := range map[string][]vfs.CrashMode{"always": vfs.Modes, "never": {vfs.Killed}} {
		t.Run("fsync="+fsync, func(t *testing.T) {
			var points atomic.Int64
			changes := 0
			for pass := range passes {
				h, moments := filmBroker(t, fsync, stride, (int(seed%uint64(stride))+pass)%stride)
				changes = max(changes, h.disk.Mutations())
				t.Run(fmt.Sprint("pass ", pass), func(t *testing.T) {
					for worker := range 2 {
						t.Run(fmt.Sprint("half ", worker), func(t *testing.T) {
							t.Parallel()
							for i, m := range moments {
								for n, mode := range modes {
									if (i+n)%2 != worker {
										continue
									}
									if passes == 1 && len(modes) > 1 && (i+n)%3 > 0 {
										continue // the sample takes modes in turn
									}
									m.crash(t, h, fsync, mode)
									points.Add(1)
									if t.Failed() {
										return
									}
								}
							}
						})
					}
				})
			}
			t.Logf("%d crashes in %d changes of the disk", points.Load(), changes)
		})
	}
}

// A moment is the disk before one of its changes.
type moment struct {
	at   int
	disk *vfs.Mem
}

// filmBroker runs the workload and keeps every nth moment of it.
func filmBroker(t *testing.T, fsync string, every, first int) (h *history, moments []moment) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h = &history{t: t, disk: vfs.NewMem(), starts: map[string]int64{}}
		at := 0
		h.disk.Film(uint64(first), func(shoot func() *vfs.Mem) {
			if at%every == first {
				moments = append(moments, moment{at, shoot()})
			}
			at++
		})
		h.server = brokertest.Start(t, brokertest.Options{FS: h.disk, Properties: propertiesOf(fsync)})
		h.cluster = h.server.ClusterID()
		h.run()
		h.disk.Film(0, nil)
	})
	return h, moments
}

func propertiesOf(fsync string) map[string]string {
	all := maps.Clone(crashProperties)
	all["oncelog.fsync"] = fsync
	return all
}

// crash starts a broker on the disk of a moment and judges it.
func (m moment) crash(t *testing.T, h *history, fsync string, mode vfs.CrashMode) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("fsync=%s, crash mode %d at change %d", fsync, mode, m.at)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(h.took) // no clock goes back
		disk := m.disk.Clone()
		disk.Crash(mode, uint64(m.at))
		s := brokertest.Start(t, brokertest.Options{FS: disk, Properties: propertiesOf(fsync)})
		time.Sleep(8 * time.Second) // open transactions time out
		j := &judge{t: t, h: h, at: m.at, s: s, c: client(t, s)}
		j.admin = kadm.NewClient(j.c)
		j.run()
	})
}

package txn

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

var golden = flag.Bool("golden", false, "rewrite the golden files")

// TestScenarios plays testdata/*.txt. A file is a list of steps: a command, a
// line "----", and what follows from it, in a bubble where time is free: the
// answer, the records stored, the markers sent.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, string(text)) })
			if *golden {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s plays differently (go test -golden rewrites it):\n%s", file, firstDifference(got, string(text)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d: got  %s\n         want %s", i+1, g[i], strings.Join(w[min(i, len(w)):min(i+1, len(w))], ""))
		}
	}
	return fmt.Sprintf("line %d is missing: %s", len(g)+1, w[len(g)])
}

// play rewrites a scenario with what really follows.
func play(t *testing.T, text string) string {
	w := newWorld(t, nil)
	synctest.Wait()
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		command, _, _ := strings.Cut(block, "\n----")
		if out.Len() > 0 {
			out.WriteString("\n")
		}
		out.WriteString(command + "\n")
		line := command[strings.LastIndex(command, "\n")+1:]
		if strings.HasPrefix(line, "#") {
			continue // a comment of its own
		}
		out.WriteString("----\n")
		began := time.Now()
		lines := []string{w.run(line)}
		if took := time.Since(began); took > 0 && !strings.HasPrefix(line, "advance") {
			lines[0] += fmt.Sprintf(" after %v", took)
		}
		synctest.Wait()
		lines = append(lines, w.news()...)
		lines = append(lines, w.markers.news()...)
		out.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return out.String()
}

// A command is one line: a name, then words, some of them key=value.
type command struct {
	t    tester
	name string
	args map[string]string
}

func parse(t tester, line string) command {
	words := strings.Fields(line)
	c := command{t, words[0], map[string]string{}}
	for i, word := range words[1:] {
		key, value, found := strings.Cut(word, "=")
		if !found {
			key, value = strconv.Itoa(i), word
		}
		c.args[key] = value
	}
	return c
}

func (c command) number(key string, fallback int) int {
	s, ok := c.args[key]
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		c.t.Fatalf("%s: %v", key, err)
	}
	return n
}

func (c command) duration(key string, fallback time.Duration) time.Duration {
	s, ok := c.args[key]
	if !ok {
		return fallback
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		c.t.Fatalf("%s: %v", key, err)
	}
	return d
}

// producer is the "p=id/epoch" of a command.
func (c command) producer() ProducerIDAndEpoch {
	p := noProducer
	if s, ok := c.args["p"]; ok {
		if _, err := fmt.Sscanf(s, "%d/%d", &p.ID, &p.Epoch); err != nil {
			c.t.Fatalf("p=%s: %v", s, err)
		}
	}
	return p
}

// participants is the "parts=topic-0,topic-1" of a command.
func (c command) participants() []Participant {
	var ps []Participant
	for _, name := range strings.Split(c.args["parts"], ",") {
		at := strings.LastIndex(name, "-")
		n, err := strconv.Atoi(name[at+1:])
		if err != nil {
			c.t.Fatalf("parts: %v", err)
		}
		ps = append(ps, Participant{Topic: name[:at], TopicID: [16]byte{name[0]}, Partition: int32(n)})
	}
	return ps
}

// run does one command and returns the answer.
func (w *world) run(line string) string {
	c := parse(w.t, line)
	id, ctx := c.args["0"], w.t.Context()
	p, version := c.producer(), int16(c.number("v", 5))
	switch c.name {
	case "init":
		return answer(w.c.InitProducerID(ctx, InitProducerIDRequest{id, c.duration("timeout", time.Minute), p.ID, p.Epoch, version}))
	case "add":
		return answer(noProducer, w.c.AddPartitions(ctx, AddPartitionsRequest{id, p.ID, p.Epoch, c.participants(), int16(c.number("v", 3))}))
	case "end":
		return answer(w.c.EndTxn(ctx, EndTxnRequest{id, p.ID, p.Epoch, c.args["1"] == "commit", version}))
	case "produce", "offsets":
		api := kmsg.Produce
		if c.name == "offsets" {
			api = kmsg.TxnOffsetCommit
		}
		var told []string
		for _, err := range w.c.Ensure(ctx, EnsureRequest{id, p.ID, p.Epoch, c.participants(), api, version}) {
			told = append(told, answer(noProducer, err))
		}
		return strings.Join(told, ", ")
	case "describe":
		t, err := w.c.Describe(ctx, id)
		if err != nil {
			return answer(noProducer, err)
		}
		return show(&t)
	default:
		return w.control(c)
	}
}

// control runs what no client can ask for.
func (w *world) control(c command) string {
	switch c.name {
	case "advance":
		time.Sleep(c.duration("0", 0))
	case "hold":
		w.markers.hold()
	case "release":
		w.markers.release()
	case "fail":
		w.markers.fail(c.number("0", 1))
	case "restart":
		w.restart()
	case "depose":
		w.epoch++
		w.p.Follow(w.epoch)
	case "elect":
		w.epoch++
		w.p.Lead(w.epoch)
	case "refuse":
		w.p.Fail(shardtest.Refused)
	case "doubt":
		w.p.Fail(map[string]shardtest.Fault{"lost": shardtest.Lost, "stored": shardtest.Stored}[c.args["0"]])
	case "epoch": // as if the id had been initialised very often
		w.jump(c.args["0"], int16(c.number("1", 0)))
	default:
		w.t.Fatalf("unknown command %q", c.name)
	}
	return "done"
}

// jump stores a later epoch for a transactional id.
func (w *world) jump(id string, epoch int16) {
	t, err := w.c.Describe(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	t.ProducerEpoch = epoch
	w.put(id, &t)
}

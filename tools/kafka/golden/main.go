// Golden compares what Kafka's own command-line tools print against oncelog
// with what they printed against Apache Kafka.
//
//	golden record  RAW KAFKA                      normalises a transcript taken on Apache Kafka
//	golden compare RAW KAFKA ONCELOG DIFFERENCES  prints a table; fails where a difference is not explained
//	golden accept  RAW KAFKA ONCELOG DIFFERENCES  rewrites ONCELOG from RAW, keeping the reasons that stand in it
//
// ONCELOG holds the steps in which oncelog differs on purpose, each with the
// name of the row of DIFFERENCES that says why. Such a step is compared too,
// with what stands in ONCELOG, so an explained difference cannot grow unseen.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	var pairs []string
	flag.Func("replace", "OLD=NEW: a text that differs from run to run (repeat)", func(pair string) error {
		old, with, ok := strings.Cut(pair, "=")
		if !ok || old == "" {
			return fmt.Errorf("%q, want OLD=NEW", pair)
		}
		pairs = append(pairs, old, with)
		return nil
	})
	flag.Parse()
	if err := run(pairs, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "golden:", err)
		os.Exit(1)
	}
}

func run(pairs, args []string) error {
	if len(args) != 3 && len(args) != 5 {
		return fmt.Errorf("%d arguments, want: record RAW KAFKA, or compare or accept RAW KAFKA ONCELOG DIFFERENCES", len(args))
	}
	raw, err := readTranscript(args[1])
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return fmt.Errorf("%s holds no steps", args[1])
	}
	newNormaliser(pairs).steps(raw)
	if args[0] == "record" && len(args) == 3 {
		return writeTranscript(args[2], raw)
	}
	if len(args) != 5 {
		return fmt.Errorf("%s wants RAW KAFKA ONCELOG DIFFERENCES", args[0])
	}
	kafka, err := readTranscript(args[2])
	if err != nil {
		return err
	}
	explained, err := readTranscript(args[3])
	if err != nil {
		return err
	}
	switch args[0] {
	case "compare":
		reasons, err := os.ReadFile(args[4])
		if err != nil {
			return err
		}
		return report(compare(raw, kafka, explained, string(reasons)))
	case "accept":
		return writeTranscript(args[3], accept(raw, kafka, explained))
	}
	return fmt.Errorf("%q, want record, compare or accept", args[0])
}

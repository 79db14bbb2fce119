// Package conformance judges whether a broker does what Apache Kafka does.
//
// It holds small cases, one per file, each with a stable id, the rule it
// rests on and one verdict. A case speaks the wire protocol itself: hand-built
// record batches with chosen producer ids, epochs and sequences, at chosen
// request versions. Apache Kafka 4.3.1 is the oracle: a case that Kafka fails
// is a wrong case.
//
// The suite knows nothing of the broker behind the address. It makes topics,
// groups and transactional ids of its own, named oncelog-<run>-..., and
// deletes the topics and groups it made.
package conformance

import (
	"fmt"
	"strings"
)

// Version is the version of the suite; it rises with every case that changes.
const Version = "0.1"

// Level says how much a case demands.
type Level string

const (
	// Must is a rule every broker has to keep: a difference fails the run.
	Must Level = "MUST"
	// Should is a rule a client can live without: a difference is noted, and
	// fails the run only when Config.Strict is set.
	Should Level = "SHOULD"
	// Observed is what Apache Kafka was seen to do: a difference is noted.
	Observed Level = "OBSERVED"
)

// Need is one thing a target must offer for a case to make sense. A case
// whose needs are not met is skipped with the first missing need as reason.
type Need struct {
	Key     int16  // request key; used when Feature is empty
	Version int16  // lowest version of Key the broker must reach
	Kafka   string // the first Kafka that has Version, where the rule is as new as that
	Feature string // finalized feature, by its name
	Level   int16  // lowest finalized level of Feature
	Brokers int    // lowest number of brokers, when above 0
}

// A Case is one rule and the requests that show whether it is kept.
type Case struct {
	ID          string // area/section/n, stable, never reused
	Title       string // the rule as a sentence
	Requirement string // where the rule comes from: a KIP or a Kafka class
	Level       Level
	Needs       []Need
	// Alone says that no other case may run at the same time. Kafka asks its
	// coordinator of all unverified transactions of a node at once and answers
	// them all with the code that suits the first one's version
	// (AddPartitionsToTxnManager.addTxnData).
	Alone       bool
	Destructive bool // a weak broker may not survive it: run only when asked for, last and alone
	Run         func(*T)
}

// api is the need for one request key at one version.
func api(key, version int16) Need { return Need{Key: key, Version: version} }

// kafka4 is the need of a rule that Kafka 3.9 does not know yet: it is asked of
// brokers that offer what came with Kafka 4.0.
func kafka4() Need { return Need{Key: keyMetadata, Version: 13, Kafka: "4.0"} }

// tv2 lists what the second transaction protocol needs (KIP-890): Produce 12,
// EndTxn 5, TxnOffsetCommit 5 and the finalized feature.
func tv2() []Need {
	return []Need{
		{Feature: "transaction.version", Level: 2},
		api(keyProduce, 12), api(keyEndTxn, 5), api(keyTxnOffsetCommit, 5),
	}
}

// tv1 lists what the first transaction protocol needs (KIP-98).
func tv1() []Need {
	return []Need{
		api(keyProduce, 7), api(keyAddPartitionsToTxn, 0), api(keyAddOffsetsToTxn, 0),
		api(keyEndTxn, 0), api(keyTxnOffsetCommit, 0),
	}
}

// Select returns the cases whose id equals a filter or lies below it: the
// filter "txn/fencing" selects txn/fencing/1. No filter selects all.
//
// Errors: a filter that selects nothing, so that a typing mistake is no pass.
func Select(cases []Case, filters []string) ([]Case, error) {
	if len(filters) == 0 {
		return cases, nil
	}
	used := make([]bool, len(filters))
	var selected []Case
	for _, c := range cases {
		hit := false
		for i, f := range filters {
			f = strings.TrimSuffix(f, "/")
			if c.ID == f || strings.HasPrefix(c.ID, f+"/") {
				used[i], hit = true, true
			}
		}
		if hit {
			selected = append(selected, c)
		}
	}
	for i, ok := range used {
		if !ok {
			return nil, fmt.Errorf("%w: no conformance case matches %q", ErrConfig, filters[i])
		}
	}
	return selected, nil
}

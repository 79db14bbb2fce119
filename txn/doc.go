// Package txn is the transaction coordinator: who may write under a
// transactional id, what belongs to its transaction, and how the transaction ends.
//
// It holds, for each partition of __transaction_state that this node leads, the
// state of every transactional id. Each move of a state is a record in Kafka's
// own stored form, committed before the client is answered; the one exception is
// the fence that precedes an abort, which exists in memory only. A decision is a
// pure function of the state, the request, the time and the ids that the caller
// gives (decide.go); a record becomes state when the shard reads it back (view.go).
//
// It promises: a transaction whose end was decided ends that way on every
// participant, whatever fails between; a fenced producer changes nothing; an open
// transaction is aborted within a second of its timeout; (producer id, epoch) is
// given once. Both transaction protocols are served at once, chosen by the
// version of each request (KIP-98, KIP-360, KIP-588, KIP-890).
//
// It does not know: the wire, groups, raft, or where a participant's leader is.
package txn

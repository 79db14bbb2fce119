package cluster

import bolt "go.etcd.io/bbolt"

// boltTx keeps bbolt's name out of the other tests.
type boltTx = bolt.Tx

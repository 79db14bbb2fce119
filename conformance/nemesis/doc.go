// Package nemesis does to a cluster of brokers what may happen to one: it kills
// and stops processes, parts nodes from each other and slows their links, while
// the load of package verify runs.
//
// It knows brokers as processes that speak Kafka's protocol, behind the
// interface Cluster, and nothing of what is inside of them.
package nemesis

// Package broker is the Kafka server: it composes the log, replication, the
// transaction coordinator and the group coordinator, and answers the Kafka
// protocol over its listeners.
//
// It promises that requests of one connection are answered in order, that
// what it advertises in ApiVersions it answers, and that Close ends every
// goroutine that Open started. It knows sockets, settings and the shape of
// requests; how a record is stored or agreed on is known below it.
//
// apis.go is the table of everything served; each handler is in a file that
// begins with its API key. The package is also the Go API for embedding:
// Open a Config, Close the Broker.
package broker

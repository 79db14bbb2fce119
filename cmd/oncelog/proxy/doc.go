// Package proxy stands between Kafka clients and any Kafka-compatible brokers, does
// to requests what rules of package fault say, and shows what passes.
//
// Clients find only the proxy: it listens once for each broker, and rewrites the
// addresses in what brokers say of themselves. All other bytes pass as they are.
// ApiVersions tells of no version that the proxy could not parse. Authentication is
// between the client and the broker.
//
// The package promises bounded memory: of a frame that it need not look inside it
// holds a few KiB, and all that it holds of others is budgeted.
package proxy

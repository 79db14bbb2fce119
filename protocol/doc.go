// Package protocol is the wire: frames, request and response headers, the table
// of API keys, and the one place where errors become Kafka error codes.
//
// A Table is built from rows made by On and OnReply. Serve takes one request
// frame and gives one response frame. The package promises that no byte sent
// by a peer makes it panic, spin, or allocate far more than what has arrived.
// It holds no state of topics, groups or transactions and owns no goroutine.
package protocol

package transport

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/hashicorp/raft"
)

// ServerID is a node's name in raft's configurations.
func ServerID(node int32) raft.ServerID { return raft.ServerID(strconv.Itoa(int(node))) }

// CandidateName is a node's name on a vote.
func CandidateName(node int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(node)) }

// rpcHeader names the sender of a request as raft expects it. It follows from
// the connection, so it does not travel.
func rpcHeader(from int32) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(ServerID(from)), Addr: CandidateName(from)}
}

// An entry of an append is 8 bytes index, 8 term, 1 type, 1 length of
// extensions, those, 4 length of data, that.
const entrySize = 8 + 8 + 1 + 1 + 4

// encode is a request as parts that are not copied again.
func encode(request any) (kind, [][]byte, error) {
	be := binary.BigEndian
	switch r := request.(type) {
	case *raft.AppendEntriesRequest:
		return kindAppend, encodeAppend(r), nil
	case *raft.RequestVoteRequest:
		b := be.AppendUint64(be.AppendUint64(be.AppendUint64(nil, r.Term), r.LastLogIndex), r.LastLogTerm)
		return kindVote, [][]byte{putBool(b, r.LeadershipTransfer)}, nil
	case *raft.RequestPreVoteRequest:
		b := be.AppendUint64(be.AppendUint64(be.AppendUint64(nil, r.Term), r.LastLogIndex), r.LastLogTerm)
		return kindPreVote, [][]byte{b}, nil
	case *raft.TimeoutNowRequest:
		return kindTimeoutNow, nil, nil
	case *Install:
		b := be.AppendUint64(be.AppendUint64(be.AppendUint64(nil, r.Term), r.LastLogIndex), r.LastLogTerm)
		b = be.AppendUint64(b, r.ConfigurationIndex)
		b = be.AppendUint32(b, uint32(len(r.Configuration)))
		return kindInstall, [][]byte{append(b, r.Configuration...), r.State}, nil
	default:
		return 0, nil, fmt.Errorf("transport: no frame for a %T", request)
	}
}

// Install is raft's InstallSnapshotRequest with the snapshot's own content.
type Install struct {
	raft.InstallSnapshotRequest
	State []byte
}

func encodeAppend(r *raft.AppendEntriesRequest) [][]byte {
	be := binary.BigEndian
	size := 4*8 + 4
	for _, e := range r.Entries {
		size += entrySize + len(e.Extensions)
	}
	b := make([]byte, 0, size) // never grown: parts are cut from it
	b = be.AppendUint32(putAppend(b, r), uint32(len(r.Entries)))
	parts := make([][]byte, 0, 1+2*len(r.Entries))
	from := 0
	for _, e := range r.Entries {
		b = be.AppendUint64(be.AppendUint64(b, e.Index), e.Term)
		b = append(b, byte(e.Type), byte(len(e.Extensions)))
		b = append(b, e.Extensions...)
		b = be.AppendUint32(b, uint32(len(e.Data)))
		if len(e.Data) > 0 {
			parts = append(parts, b[from:], e.Data)
			from = len(b)
		}
	}
	return append(parts, b[from:])
}

// putAppend writes what every append begins with, readAppend reads it.
func putAppend(b []byte, r *raft.AppendEntriesRequest) []byte {
	be := binary.BigEndian
	return be.AppendUint64(be.AppendUint64(be.AppendUint64(be.AppendUint64(b, r.Term), r.PrevLogEntry), r.PrevLogTerm), r.LeaderCommitIndex)
}

func readAppend(r *reader, h raft.RPCHeader) *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{RPCHeader: h, Term: r.uint64(), PrevLogEntry: r.uint64(), PrevLogTerm: r.uint64(), LeaderCommitIndex: r.uint64()}
}

func putBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// A reader takes numbers off the front of a body; the first that is missing
// makes it wrong for good.
type reader struct {
	b     []byte
	wrong bool
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.wrong = nil, true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// end is an error unless all was there and nothing is left.
func (r *reader) end(what string) error {
	if r.wrong || len(r.b) > 0 {
		return fmt.Errorf("transport: malformed %s, %d bytes left", what, len(r.b))
	}
	return nil
}

// decode is the request that a frame carries. Its record bytes are the body's own.
func decode(k kind, from int32, body []byte) (any, error) {
	r := &reader{b: body}
	h := rpcHeader(from)
	switch k {
	case kindAppend:
		return decodeAppend(r, h)
	case kindVote:
		out := &raft.RequestVoteRequest{RPCHeader: h, Term: r.uint64(), LastLogIndex: r.uint64(), LastLogTerm: r.uint64()}
		out.LeadershipTransfer = r.byte() == 1
		return out, r.end("vote")
	case kindPreVote:
		out := &raft.RequestPreVoteRequest{RPCHeader: h, Term: r.uint64(), LastLogIndex: r.uint64(), LastLogTerm: r.uint64()}
		return out, r.end("pre-vote")
	case kindTimeoutNow:
		return &raft.TimeoutNowRequest{RPCHeader: h}, r.end("timeout-now")
	case kindInstall:
		out := &Install{}
		out.RPCHeader, out.SnapshotVersion = h, raft.SnapshotVersionMax
		out.Term, out.LastLogIndex, out.LastLogTerm, out.ConfigurationIndex = r.uint64(), r.uint64(), r.uint64(), r.uint64()
		out.Configuration = r.bytes(int(r.uint32()))
		out.State = r.bytes(len(r.b))
		out.Size = int64(len(out.State))
		return out, r.end("snapshot")
	default:
		return nil, fmt.Errorf("transport: no request has kind %d", k)
	}
}

func decodeAppend(r *reader, h raft.RPCHeader) (*raft.AppendEntriesRequest, error) {
	out := readAppend(r, h)
	n := int(r.uint32())
	if n > len(r.b)/entrySize {
		return nil, fmt.Errorf("transport: append of %d entries in %d bytes", n, len(r.b))
	}
	logs := make([]raft.Log, n)
	out.Entries = make([]*raft.Log, n)
	for i := range logs {
		e := &logs[i]
		e.Index, e.Term, e.Type = r.uint64(), r.uint64(), raft.LogType(r.byte())
		e.Extensions = r.bytes(int(r.byte()))
		e.Data = r.bytes(int(r.uint32()))
		out.Entries[i] = e
	}
	return out, r.end("append")
}

// Answers are 8 bytes term, then what the kind of the request asks for.
func encodeAnswer(answer any) ([]byte, error) {
	be := binary.BigEndian
	switch a := answer.(type) {
	case *raft.AppendEntriesResponse:
		return putBool(putBool(be.AppendUint64(be.AppendUint64(nil, a.Term), a.LastLog), a.Success), a.NoRetryBackoff), nil
	case *raft.RequestVoteResponse:
		return putBool(be.AppendUint64(nil, a.Term), a.Granted), nil
	case *raft.RequestPreVoteResponse:
		return putBool(be.AppendUint64(nil, a.Term), a.Granted), nil
	case *raft.TimeoutNowResponse:
		return nil, nil
	case *raft.InstallSnapshotResponse:
		return putBool(be.AppendUint64(nil, a.Term), a.Success), nil
	default:
		return nil, fmt.Errorf("transport: no frame for an answer %T", answer)
	}
}

func decodeAnswer(k kind, from int32, body []byte) (any, error) {
	r := &reader{b: body}
	h := rpcHeader(from)
	switch k {
	case kindAppend, kindHeartbeats:
		return &raft.AppendEntriesResponse{RPCHeader: h, Term: r.uint64(), LastLog: r.uint64(), Success: r.byte() == 1, NoRetryBackoff: r.byte() == 1}, r.end("answer to an append")
	case kindVote:
		return &raft.RequestVoteResponse{RPCHeader: h, Term: r.uint64(), Granted: r.byte() == 1}, r.end("answer to a vote")
	case kindPreVote:
		return &raft.RequestPreVoteResponse{RPCHeader: h, Term: r.uint64(), Granted: r.byte() == 1}, r.end("answer to a pre-vote")
	case kindTimeoutNow:
		return &raft.TimeoutNowResponse{RPCHeader: h}, r.end("answer to timeout-now")
	case kindInstall:
		return &raft.InstallSnapshotResponse{RPCHeader: h, Term: r.uint64(), Success: r.byte() == 1}, r.end("answer to a snapshot")
	default:
		return nil, fmt.Errorf("transport: no answer has kind %d", k)
	}
}

package proxy

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// rewritten are the first versions of the answers in which brokers tell where
// brokers are, and of the one that tells which versions there are.
var rewritten = map[int16]int16{
	0:  10, // Produce: NodeEndpoints (KIP-951)
	1:  16, // Fetch: NodeEndpoints (KIP-951)
	3:  0,  // Metadata
	10: 0,  // FindCoordinator
	18: 0,  // ApiVersions
	60: 0,  // DescribeCluster
	78: 0,  // ShareFetch: NodeEndpoints (KIP-932)
	79: 0,  // ShareAcknowledge: NodeEndpoints (KIP-932)
}

func rewrites(r protocol.Request) bool {
	first, ok := rewritten[r.Key]
	return ok && r.Version >= first
}

// correlation is what an answer begins with.
func correlation(head []byte) int32 { return int32(binary.BigEndian.Uint32(head)) }

// decodeAnswer decodes an answer to a request, given with its length.
func decodeAnswer(r protocol.Request, frame []byte) (kmsg.Response, error) {
	response := kmsg.ResponseForKey(r.Key)
	response.SetVersion(r.Version)
	_, body, err := protocol.ParseResponse(r.Key, r.Version, frame[4:])
	if err != nil {
		return nil, err
	}
	if r.Key == keyApiVersions && len(body) >= 2 && int16(binary.BigEndian.Uint16(body)) == kerr.UnsupportedVersion.Code {
		response.SetVersion(0) // whatever was asked for (KIP-511)
	}
	return response, protocol.Decode(response, body)
}

// rewrite makes an answer name the proxy where it names brokers. What names none
// stays as it is, byte for byte.
func (s *session) rewrite(r protocol.Request, frame []byte) ([]byte, error) {
	response, err := decodeAnswer(r, frame)
	if err != nil {
		return nil, err
	}
	changed, err := s.replace(response)
	if err != nil || !changed {
		return frame, err
	}
	return protocol.AppendResponse(nil, r.CorrelationID, response)
}

func (s *session) replace(response kmsg.Response) (changed bool, err error) {
	each := func(n int, one func(i int) error) (bool, error) {
		for i := range n {
			if err := one(i); err != nil {
				return false, err
			}
		}
		return n > 0, nil
	}
	switch r := response.(type) {
	case *kmsg.ApiVersionsResponse:
		capVersions(r)
		return true, nil
	case *kmsg.MetadataResponse:
		for _, t := range r.Topics {
			if t.Topic != nil && t.TopicID != [16]byte{} {
				s.p.learn(t.TopicID, *t.Topic)
			}
		}
		return each(len(r.Brokers), func(i int) error {
			b := &r.Brokers[i]
			return s.move(b.NodeID, &b.Host, &b.Port)
		})
	case *kmsg.FindCoordinatorResponse:
		if r.Version < 4 {
			return r.ErrorCode == 0, s.move(r.NodeID, &r.Host, &r.Port)
		}
		return each(len(r.Coordinators), func(i int) error {
			c := &r.Coordinators[i]
			return s.move(c.NodeID, &c.Host, &c.Port)
		})
	case *kmsg.DescribeClusterResponse:
		if r.EndpointType == 2 { // controllers, which speak another protocol to clients (KIP-919)
			return false, nil
		}
		return each(len(r.Brokers), func(i int) error {
			b := &r.Brokers[i]
			return s.move(b.NodeID, &b.Host, &b.Port)
		})
	case *kmsg.ProduceResponse:
		return each(len(r.Brokers), func(i int) error {
			b := &r.Brokers[i]
			return s.move(b.NodeID, &b.Host, &b.Port)
		})
	case *kmsg.FetchResponse:
		return each(len(r.Brokers), func(i int) error {
			b := &r.Brokers[i]
			return s.move(b.NodeID, &b.Host, &b.Port)
		})
	case *kmsg.ShareFetchResponse:
		return each(len(r.NodeEndpoints), func(i int) error {
			n := &r.NodeEndpoints[i]
			return s.move(n.NodeID, &n.Host, &n.Port)
		})
	case *kmsg.ShareAcknowledgeResponse:
		return each(len(r.NodeEndpoints), func(i int) error {
			n := &r.NodeEndpoints[i]
			return s.move(n.NodeID, &n.Host, &n.Port)
		})
	}
	return false, nil
}

// move turns a broker's address into that of the proxy which stands for it. No
// broker, as in the answer that no coordinator is known, stays none.
func (s *session) move(id int32, host *string, port *int32) error {
	if id < 0 || *host == "" || *port <= 0 {
		return nil
	}
	at, err := s.p.stand(id, *host, *port)
	if err != nil {
		return err
	}
	told := s.p.config.Advertise
	if told == "" {
		if told, _, err = net.SplitHostPort(s.client.LocalAddr().String()); err != nil {
			return fmt.Errorf("where the client reached the proxy: %w", err)
		}
	}
	*host, *port = told, at
	return nil
}

// capVersions leaves of what a broker serves what the proxy can parse. SaslHandshake
// v0 is followed by bytes that are no requests.
func capVersions(r *kmsg.ApiVersionsResponse) {
	kept := r.ApiKeys[:0]
	for _, k := range r.ApiKeys {
		request := kmsg.RequestForKey(k.ApiKey)
		if request == nil {
			continue
		}
		k.MaxVersion = min(k.MaxVersion, request.MaxVersion())
		if k.ApiKey == keySASLHandshake {
			k.MinVersion = max(k.MinVersion, 1)
		}
		if k.MinVersion <= k.MaxVersion {
			kept = append(kept, k)
		}
	}
	r.ApiKeys = kept
}

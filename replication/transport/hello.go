package transport

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The handshake. The dialer says who it is and whom it means; the acceptor
// checks that, proves that it knows the secret, and then the dialer does. The
// proofs are over both nonces, so neither can be used again.
//
//	dialer:   magic 8 | class 1 | from 4 | to 4 | incarnation 16 | cluster id | address | nonce 32
//	acceptor: 0 | nonce 32 | proof 32      or      1 | why it refuses
//	dialer:   proof 32
//	acceptor: 0
//
// Texts are 1 byte length and that many bytes. Without a secret the proofs are zeros.
const (
	magic     = "oncelog\x03"
	maxName   = 255
	nonceSize = 32
	proofSize = sha256.Size

	// anyone is whom a visit means: it knows an address only.
	anyone = -1

	// helloTimeout bounds the handshake: until it is over nobody is known.
	helloTimeout = 5 * time.Second
)

// An incarnation is one run of a node, so that two runs with one node id are told
// apart (KIP-631).
type incarnation [16]byte

type hello struct {
	class    class
	from, to int32
	run      incarnation
	cluster  string
	address  string
	nonce    [nonceSize]byte
}

func (h hello) put(b []byte) []byte {
	b = append(b, magic...)
	b = append(b, byte(h.class))
	b = binary.BigEndian.AppendUint32(b, uint32(h.from))
	b = binary.BigEndian.AppendUint32(b, uint32(h.to))
	b = append(b, h.run[:]...)
	b = putText(b, h.cluster)
	b = putText(b, h.address)
	return append(b, h.nonce[:]...)
}

func putText(b []byte, s string) []byte {
	if len(s) > maxName {
		s = s[:maxName]
	}
	return append(append(b, byte(len(s))), s...)
}

func readText(r *bufio.Reader) (string, error) {
	n, err := r.ReadByte()
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// readHello decodes nothing before the magic was right.
func readHello(r *bufio.Reader) (h hello, err error) {
	var fixed [len(magic) + 1 + 4 + 4 + len(incarnation{})]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return h, err
	}
	if string(fixed[:len(magic)]) != magic {
		return h, fmt.Errorf("connection begins with %q, want a node's %q: is this a Kafka client? It belongs on the client listener", fixed[:len(magic)], magic)
	}
	rest := fixed[len(magic):]
	h.class, h.from, h.to = class(rest[0]), int32(binary.BigEndian.Uint32(rest[1:])), int32(binary.BigEndian.Uint32(rest[5:]))
	copy(h.run[:], rest[9:])
	if h.class > visit {
		return h, fmt.Errorf("connection class %d, want at most %d", h.class, visit)
	}
	if h.cluster, err = readText(r); err != nil {
		return h, err
	}
	if h.address, err = readText(r); err != nil {
		return h, err
	}
	_, err = io.ReadFull(r, h.nonce[:])
	return h, err
}

// proof is what a side that knows the secret can say; side keeps one from
// repeating the other's.
func (m *Mesh) proof(side string, h hello, acceptor []byte) []byte {
	if m.cfg.Secret == nil {
		return make([]byte, proofSize)
	}
	mac := hmac.New(sha256.New, m.cfg.Secret)
	mac.Write([]byte(side))
	mac.Write(h.put(nil))
	mac.Write(acceptor)
	return mac.Sum(nil)
}

// checkHello says why a dialer is not welcome.
func (m *Mesh) checkHello(h hello) error {
	switch {
	case h.cluster != m.cfg.ClusterID:
		return fmt.Errorf("node %d is of cluster %q, this node of %q: a node of another cluster has this address among its voters or bootstrap servers", h.from, h.cluster, m.cfg.ClusterID)
	case h.to != m.cfg.NodeID && (h.class != visit || h.to != anyone):
		return fmt.Errorf("node %d looks for node %d, this is node %d: its list of voters has a wrong address", h.from, h.to, m.cfg.NodeID)
	case h.from == m.cfg.NodeID || h.from < 0:
		return fmt.Errorf("a node says that it is node %d, as this one: node.id must differ", h.from)
	case m.isDouble(h):
		return fmt.Errorf("another node with node.id %d is running and answers; that of %s must have an id of its own, or wait until the other has ended", h.from, h.address)
	}
	return nil
}

// isDouble says that the dialer has the node id of another process that is
// connected and answers.
func (m *Mesh) isDouble(h hello) bool {
	p := m.Peer(h.from)
	if p == nil || !p.Alive() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for class := range classes {
		if m.inbound[inboundKey{h.from, class}] != nil && m.runs[h.from] != h.run {
			return true
		}
	}
	return false
}

var errProof = errors.New("the other side does not know the shared secret")

// greet is the dialer's side. The connection is ready when it returns nil.
func (m *Mesh) greet(c net.Conn, r *bufio.Reader, to int32, class class) error {
	if err := c.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	h := hello{class: class, from: m.cfg.NodeID, to: to, run: m.run, cluster: m.cfg.ClusterID, address: m.cfg.Address}
	if _, err := rand.Read(h.nonce[:]); err != nil {
		return err
	}
	if _, err := c.Write(h.put(nil)); err != nil {
		return err
	}
	if err := readVerdict(r); err != nil {
		return err
	}
	var answer [nonceSize + proofSize]byte
	if _, err := io.ReadFull(r, answer[:]); err != nil {
		return err
	}
	if nonce, proof := answer[:nonceSize], answer[nonceSize:]; !hmac.Equal(proof, m.proof("accept", h, nonce)) {
		return errProof
	}
	if _, err := c.Write(m.proof("dial", h, answer[:nonceSize])); err != nil {
		return err
	}
	if err := readVerdict(r); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

func readVerdict(r *bufio.Reader) error {
	refused, err := r.ReadByte()
	if err != nil || refused == 0 {
		return err
	}
	why, err := readText(r)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrRefused, why)
}

// welcome is the acceptor's side.
func (m *Mesh) welcome(c net.Conn, r *bufio.Reader) (hello, error) {
	if err := c.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return hello{}, err
	}
	h, err := readHello(r)
	if err != nil {
		return h, err
	}
	if err := m.checkHello(h); err != nil {
		return h, refuse(c, err)
	}
	var nonce [nonceSize]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return h, err
	}
	answer := append([]byte{0}, nonce[:]...)
	if _, err := c.Write(append(answer, m.proof("accept", h, nonce[:])...)); err != nil {
		return h, err
	}
	var proof [proofSize]byte
	if _, err := io.ReadFull(r, proof[:]); err != nil {
		return h, err
	}
	if !hmac.Equal(proof[:], m.proof("dial", h, nonce[:])) {
		return h, refuse(c, errProof)
	}
	if _, err := c.Write([]byte{0}); err != nil {
		return h, err
	}
	return h, c.SetDeadline(time.Time{})
}

// refuse tells the dialer why; its operator is the one who can mend it.
func refuse(c net.Conn, why error) error {
	if _, err := c.Write(putText([]byte{1}, why.Error())); err != nil {
		return errors.Join(why, err)
	}
	return why
}

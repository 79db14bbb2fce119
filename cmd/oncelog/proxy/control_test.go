package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// A standIn is a broker that answers ApiVersions and no more, over TCP.
func standIn(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerVersions(c)
		}
	}()
	return l.Addr().String()
}

func answerVersions(c net.Conn) {
	defer c.Close()
	for in := bufio.NewReader(c); ; {
		frame, err := protocol.ReadFrame(in, 1<<20, nil, nil)
		if err != nil {
			return
		}
		r, _, err := protocol.ParseRequest(frame)
		if err != nil {
			return
		}
		response := kmsg.NewPtrApiVersionsResponse()
		response.Version = r.Version
		response.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 0, MaxVersion: 99}, {ApiKey: 17, MaxVersion: 1}, {ApiKey: 9999, MaxVersion: 3}}
		answer, err := protocol.AppendResponse(nil, r.CorrelationID, response)
		if err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func openTCP(t *testing.T, token string) (*Proxy, *Control) {
	t.Helper()
	p, err := Open(Config{Upstream: []string{standIn(t)}, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Serve(p, "127.0.0.1:0", token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, c
}

// call sends one request, with changes, and gives the status and the body.
func call(t *testing.T, c *Control, method, path, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.Address()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(all)
}

func TestControlKeepsRules(t *testing.T) {
	_, c := openTCP(t, "")
	for _, step := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/api/faults", "", 200, `{"rules":[]}`},
		{"POST", "/api/faults", `{"rule": "drop api=Produce nth=2"}`, 201, `{"id":"1","rule":"drop api=Produce nth=2 times=1"}`},
		{"POST", "/api/faults", `{"rule": "lose"}`, 400, "want one of"},
		{"POST", "/api/faults", `{"rule": "hold-markers"}`, 400, "only an oncelog broker"},
		{"POST", "/api/faults", `drop`, 400, `want {"rule"`},
		{"POST", "/api/faults", `{"rule": "` + strings.Repeat("x", 1<<20) + `"}`, 400, "too large"},
		{"GET", "/api/faults", "", 200, `"matched":0`},
		{"GET", "/api/faults/1/hits", "", 200, `{"hits":[]}`},
		{"GET", "/api/faults/1/hits?wait=1&timeout=1ms", "", 408, "has hit 0 times, want 1"},
		{"GET", "/api/faults/1/hits?wait=x", "", 400, "want wait="},
		{"GET", "/api/faults/7/hits?wait=1", "", 404, "no such rule"},
		{"GET", "/api/monitor?match=color=red", "", 400, `key "color"`},
		{"DELETE", "/api/faults/7", "", 404, "no such rule"},
		{"DELETE", "/api/faults/1", "", 200, `{"rules":[]}`},
		{"DELETE", "/api/faults", "", 200, `{"rules":[]}`},
	} {
		status, body := call(t, c, step.method, step.path, step.body, nil)
		if status != step.status || !strings.Contains(body, step.want) {
			t.Errorf("%s %s: %d %s, want %d and %s", step.method, step.path, status, body, step.status, step.want)
		}
	}
}

func TestControlIsForProgramsOfThisMachine(t *testing.T) {
	_, open := openTCP(t, "")
	_, guarded := openTCP(t, "sixteen characters")
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	for name, one := range map[string]struct {
		control *Control
		change  func(*http.Request)
		status  int
	}{
		"a page":             {open, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		"a rebound name":     {open, func(r *http.Request) { r.Host = "evil.example:19091" }, 403},
		"localhost":          {open, func(r *http.Request) { r.Host = "localhost:19091" }, 200},
		"no token":           {guarded, nil, 401},
		"another token":      {guarded, bearer("sixteen charactert"), 401},
		"the token":          {guarded, bearer("sixteen characters"), 200},
		"a page that has it": {guarded, func(r *http.Request) { bearer("sixteen characters")(r); r.Header.Set("Origin", "null") }, 403},
	} {
		if status, body := call(t, one.control, "GET", "/api/faults", "", one.change); status != one.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, one.status)
		}
	}
	if _, err := Serve(nil, "0.0.0.0:0", ""); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("beyond loopback without a token: %v", err)
	}
}

// ask sends one ApiVersions and gives the answer.
func ask(t *testing.T, p *Proxy, version int16, client string) *kmsg.ApiVersionsResponse {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := kmsg.NewPtrApiVersionsRequest()
	request.Version, request.ClientSoftwareName, request.ClientSoftwareVersion = version, "test", "1"
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID(client)).AppendRequest(nil, request, 5)
	if version > request.MaxVersion() {
		frame[4+2], frame[4+3] = byte(version>>8), byte(version)
	}
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := protocol.ReadFrame(bufio.NewReaderSize(c, 64<<10), 1<<20, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := decodeAnswer(protocol.Request{Key: 18, Version: min(version, request.MaxVersion())}, append(make([]byte, 4), answer...))
	if err != nil {
		t.Fatal(err)
	}
	return response.(*kmsg.ApiVersionsResponse)
}

// What brokers of the future serve is not told to clients: it could not be parsed.
func TestVersionsAreCapped(t *testing.T) {
	p, _ := openTCP(t, "")
	response := ask(t, p, 3, "app")
	if len(response.ApiKeys) != 2 {
		t.Fatalf("keys %+v, want two", response.ApiKeys)
	}
	if produce := response.ApiKeys[0]; produce.ApiKey != 0 || produce.MaxVersion != new(kmsg.ProduceRequest).MaxVersion() {
		t.Errorf("Produce %+v, want at most version %d", produce, new(kmsg.ProduceRequest).MaxVersion())
	}
	if sasl := response.ApiKeys[1]; sasl.ApiKey != 17 || sasl.MinVersion != 1 {
		t.Errorf("SaslHandshake %+v, want from version 1 on", sasl)
	}
	if response := ask(t, p, 99, "app"); response.ErrorCode != 35 || len(response.ApiKeys) != 1 {
		t.Errorf("ApiVersions v99: %+v, want UNSUPPORTED_VERSION and its own versions", response)
	}
}

func TestMonitorShowsWhatPasses(t *testing.T) {
	p, c := openTCP(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+c.Address()+"/api/monitor?match=client=shown", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r) // returns when it watches
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	ask(t, p, 3, "hidden")
	ask(t, p, 3, "shown")
	lines := json.NewDecoder(response.Body)
	for _, direction := range []string{"request", "answer"} {
		var told Told
		if err := lines.Decode(&told); err != nil {
			t.Fatal(err)
		}
		if told.ClientID != "shown" || told.API != "ApiVersions" || told.Direction != direction || told.Problem != "" || len(told.Body) == 0 {
			t.Errorf("%+v, want the %s of the client that is shown", told, direction)
		}
		if direction == "request" && !strings.Contains(told.Text, "shown -> node -1  ApiVersions v3") {
			t.Errorf("in one line: %s", told.Text)
		}
	}
}

// A monitor that does not read is told how much it missed, and holds nobody up.
func TestASlowMonitorMissesMessages(t *testing.T) {
	p, _ := openTCP(t, "")
	w, err := p.Watch(matching(t, "api=ApiVersions"))
	if err != nil {
		t.Fatal(err)
	}
	for range maxWatch {
		ask(t, p, 3, "app") // two messages each
	}
	read := int64(0)
	missed := w.missed.Load()
	for range maxWatch {
		told, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		read++
		if told.Missed > 0 && told.Missed != missed {
			t.Errorf("told of %d missed, want %d", told.Missed, missed)
		}
	}
	if read+missed != 2*maxWatch {
		t.Errorf("%d read and %d missed, want %d together", read, missed, 2*maxWatch)
	}
	p.Unwatch(w)
	if p.watched() {
		t.Error("it is watched still")
	}
}

package dnsserver

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"
)

// What TLS reads for itself is paid for as questions are, and so is each read.
func TestTLSOwnRecordsArePaidFor(t *testing.T) {
	here, there := tcpPair(t)
	server := newFramingServer(t, testTable())
	shown := certificates().issue(t)
	server.server.tls = makeTLS(func() *tls.Certificate { return shown })
	c := newConnection(server, there, overTLS)
	server.open.join(c)
	defer server.open.leave(c)
	client := tls.Client(here, clientTLS())
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if !c.handshake(nil) {
		t.Fatal("no handshake")
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	const idle = "\x14\x03\x03\x00\x01\x01" // a record that TLS 1.3 passes over
	_, err := io.WriteString(here, strings.Repeat(idle, 10))
	if err == nil {
		_, err = client.Write([]byte{0}) // of a question's length
	}
	if err != nil {
		t.Fatal(err)
	}
	arrived(t, here)
	direct := &directStream{connection: c}
	s := c.secure.serveFrom(direct)
	raw, err := there.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(socket uintptr) {
		direct.socket = socket
		c.serve(s)
	}); err != nil {
		t.Fatal(err)
	}
	if want := 10*len(idle) + 1 + readCosts; c.taken < want {
		t.Errorf("%d bytes are paid for, want at least %d", c.taken, want)
	}
}

// byteByByte is a client that always has one more byte.
type byteByByte struct {
	stream
	reads int
	then  func(reads int)
}

func (b *byteByByte) read(into []byte) (int, error) {
	b.reads++
	b.then(b.reads)
	into[0] = 0xff
	return 1, nil
}

// Who has lost its place is not read on and on for a question that has begun, nor is
// anybody once the server's end is over.
func TestQuestionWithoutEndEnds(t *testing.T) {
	const at, most = 300, 2 * yieldEvery / readCosts
	for name, ends := range map[string]func(*openConnections){
		"evicted": (*openConnections).endQuietest,
		"the server's end": func(o *openConnections) {
			o.end()
			o.mu.Lock()
			o.drained = time.Now()
			o.mu.Unlock()
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, there := tcpPair(t)
			server := newFramingServer(t, testTable())
			c := newConnection(server, there, overTCP)
			server.open.join(c)
			defer server.open.leave(c)
			client := &byteByByte{then: func(reads int) {
				if reads == at {
					ends(server.open)
				}
			}}
			if !c.serve(client) {
				t.Error("the connection goes on")
			}
			if client.reads > at+most {
				t.Errorf("it was read %d times after its end, want at most %d", client.reads-at, most)
			}
		})
	}
}

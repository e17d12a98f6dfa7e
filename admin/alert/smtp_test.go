package alert

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"
)

// strange is a mail server that says what it is told to, line by line, and keeps what it
// hears.
func strange(t *testing.T, says ...string) (*Mail, func() []string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan []string, 1)
	go func() {
		var lines []string
		defer func() { heard <- lines }()
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		reader := bufio.NewReader(conn)
		for i, line := range says {
			if i > 0 {
				said, err := reader.ReadString('\n')
				if err != nil {
					return
				}
				lines = append(lines, strings.TrimSpace(said))
				if strings.HasPrefix(line, "354") {
					_, _ = conn.Write([]byte(line + "\r\n"))
					for said != ".\r\n" {
						if said, err = reader.ReadString('\n'); err != nil {
							return
						}
					}
					line = "250 taken"
				}
			}
			if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
				return
			}
		}
		_, _ = reader.ReadString('\n') // QUIT, or the end
	}()
	t.Cleanup(func() { _ = listener.Close() })
	m := &Mail{
		Server: listener.Addr().String(), TLS: NoTLS, Hello: "node.example",
		From: &mail.Address{Address: "a@example"}, To: []*mail.Address{{Address: "b@example"}},
	}
	return m, func() []string {
		_ = listener.Close()
		return <-heard
	}
}

func TestStrangeMailServers(t *testing.T) {
	for name, c := range map[string]struct {
		says  []string
		words string // empty: it is delivered
		hope  bool
	}{
		"well":                  {says: []string{"220 hello", "250-me\r\n250 SMTPUTF8", "250 ok", "250 ok", "354 go on"}},
		"busy":                  {says: []string{"421 too busy"}, words: "greeting: the mail server says 421 too busy", hope: true},
		"none":                  {says: []string{"554 no SMTP here"}, words: "the mail server says 554"},
		"another protocol":      {says: []string{"HTTP/1.1 400 Bad Request"}, words: "reading the mail server's greeting", hope: true},
		"endless":               {says: []string{"220-" + strings.Repeat("x", maxConversation) + "\r\n220 hello"}, words: "more than 1048576 bytes", hope: true},
		"gone":                  {says: []string{"220 hello", "250 me"}, words: "EOF", hope: true},
		"control characters":    {says: []string{"220 hello", "250 me", "550 \x1b[31mno\x07"}, words: "says 550 .[31mno."},
		"refuses the mail late": {says: []string{"220 hello", "250 me", "250 ok", "250 ok", "452 disk full"}, words: "beginning the mail: the mail server says 452 disk full", hope: true},
	} {
		t.Run(name, func(t *testing.T) {
			server, heard := strange(t, c.says...)
			err := attemptOnce(context.Background(), server, nastyMessage(), 10*time.Second)
			if c.words == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := heard(); got[1] != "MAIL FROM:<a@example>" {
					t.Errorf("heard %q: SMTPUTF8 is not for ASCII", got)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.words) || errors.As(err, &hopeless{}) == c.hope {
				t.Errorf("got %v, want %q", err, c.words)
			}
		})
	}
}

func TestSilentMailServerEndsWithItsTime(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	server := &Mail{Server: listener.Addr().String(), TLS: NoTLS, From: &mail.Address{Address: "a@example"}, To: []*mail.Address{{Address: "b@example"}}}
	began := time.Now()
	err = attemptOnce(context.Background(), server, nastyMessage(), 200*time.Millisecond)
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "the time was over") || took > time.Minute {
		t.Errorf("%v after %s", err, took)
	}
}

func TestAddressesBeyondASCII(t *testing.T) {
	server, _ := strange(t, "220 hello", "250 me")
	server.To = []*mail.Address{{Address: "örn@example"}}
	if err := attemptOnce(context.Background(), server, nastyMessage(), 10*time.Second); !errors.As(err, &hopeless{}) || !strings.Contains(err.Error(), "SMTPUTF8") {
		t.Errorf("without the extension: %v", err)
	}
	server, heard := strange(t, "220 hello", "250-me\r\n250 SMTPUTF8", "250 ok", "250 ok", "354 go on")
	server.To = []*mail.Address{{Address: "örn@example"}}
	if err := attemptOnce(context.Background(), server, nastyMessage(), 10*time.Second); err != nil {
		t.Error(err)
	}
	if got := heard(); got[1] != "MAIL FROM:<a@example> SMTPUTF8" || got[2] != "RCPT TO:<örn@example>" {
		t.Errorf("heard %q", got)
	}
	server.To[0].Address = "a@example>\r\nRCPT TO:<x@example"
	if err := begin(nil, "a@example", server.To); !errors.As(err, &hopeless{}) {
		t.Errorf("a control character: %v", err)
	}
}

// FuzzMail holds that no text makes a header, or a line that mail must not have.
func FuzzMail(f *testing.F) {
	f.Add("is down", "x@example")
	f.Add("\r\nBcc: a@example\r\n\r\n.", "Ö <ö@example>\r\n")
	f.Add("=?utf-8?q?evil?= \u202e "+strings.Repeat("x", 2000), "")
	server := &Mail{From: &mail.Address{Name: "a", Address: "a@example"}, To: []*mail.Address{{Address: "b@example"}}}
	known := map[string]bool{}
	for _, name := range []string{
		"From", "To", "Reply-To", "Subject", "Date", "Message-Id", "In-Reply-To", "References", "Auto-Submitted",
		"X-Auto-Response-Suppress", "Mime-Version", "Content-Type", "Content-Transfer-Encoding",
	} {
		known[name] = true
	}
	f.Fuzz(func(t *testing.T, words, other string) {
		m := newMessage(other, time.Unix(0, 0))
		m.take([]notice{{status: statusTrouble, thread: "x", event: Event{
			Subject: other, Words: words, Mirror: words, Evidence: []string{words, other}, Pools: []string{words},
		}.bounded(m.time)}})
		for _, operator := range []string{"", "o@example"} {
			m.operator = operator
			composed := string(server.compose(server.To, m))
			got, err := mail.ReadMessage(strings.NewReader(composed))
			if err != nil {
				t.Fatalf("%v\n%s", err, composed)
			}
			for name, values := range got.Header {
				if !known[name] || len(values) != 1 {
					t.Fatalf("header %s: %q\n%s", name, values, composed)
				}
			}
			for line := range strings.SplitSeq(composed, "\r\n") {
				if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
					t.Fatalf("a line of %d bytes: %q", len(line), line)
				}
				for _, c := range []byte(line) {
					if c >= 0x7f || c < ' ' && c != '\t' {
						t.Fatalf("the byte %#x in %q", c, line)
					}
				}
			}
		}
	})
}

func TestFoldedHeader(t *testing.T) {
	for _, c := range []struct{ words, want string }{
		{"short", "Subject: short\r\n"},
		{strings.Repeat("word ", 20) + "end", "Subject: " + strings.TrimSpace(strings.Repeat("word ", 13)) + "\r\n " + strings.Repeat("word ", 7) + "end\r\n"},
		{strings.Repeat("x", 100), "Subject: " + strings.Repeat("x", 100) + "\r\n"},
		{"a\r\nBcc: b", "Subject: aBcc: b\r\n"},
	} {
		if got := fold("Subject", strings.Split(c.words, " ")); got != c.want {
			t.Errorf("%q: got %q, want %q", c.words, got, c.want)
		}
	}
}

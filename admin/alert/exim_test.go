package alert

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorpool/testport"
)

// exim is Debian's exim4 on loopback, with a directory of its own: on submission it
// offers STARTTLS and wants a password over it, secure has TLS from the first byte and
// wants one too, and plain takes mail without either.
type exim struct {
	submission, secure, plain string
	directory                 string
	authority                 *authority
}

const eximConfiguration = `
primary_hostname = localhost
spool_directory = @DIR@/spool
log_file_path = @DIR@/log_%s
pid_file_path = @DIR@/pid
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = @SUBMISSION@ : @SECURE@ : @PLAIN@
tls_on_connect_ports = @SECURE@
tls_advertise_hosts = ${if eq{$received_port}{@SUBMISSION@}{*}}
tls_certificate = @DIR@/certificate.pem
tls_privatekey = @DIR@/key.pem
acl_smtp_rcpt = recipient
keep_environment =
never_users = root
rfc1413_hosts =
host_lookup =
deliver_drop_privilege = true
smtp_accept_max = 50
begin acl
recipient:
  deny local_parts = nobody-knows
       message = there is no such person
  defer local_parts = later
        message = come back later
  accept condition = ${if eq{$received_port}{@PLAIN@}}
  accept authenticated = *
  deny message = log in first
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = @DIR@/mail/${lookup{$local_part}lsearch{@DIR@/people}}
  create_directory = false
  return_path_add
  user = @USER@
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = ${if and{{def:tls_in_cipher}{!eq{$received_port}{@SECURE@}}}}
  server_condition = ${if and{{eq{$auth2}{mirrors}}{eq{$auth3}{open sesame}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_advertise_condition = ${if and{{def:tls_in_cipher}{eq{$received_port}{@SECURE@}}}}
  server_prompts = <| Username: | Password:
  server_condition = ${if and{{eq{$auth1}{mirrors}}{eq{$auth2}{open sesame}}}}
  server_set_id = $auth1
`

func startExim(t *testing.T) *exim {
	t.Helper()
	program, err := exec.LookPath("exim4")
	if err != nil {
		if program = "/usr/sbin/exim4"; !exists(program) {
			if os.Getenv("CI") == "true" {
				t.Fatal("exim4 is missing; .ci/run names the Debian package")
			}
			t.Skip("exim4 is missing; .ci/run names the Debian package")
		}
	}
	e := &exim{directory: t.TempDir(), authority: newAuthority(t)}
	ports := []string{unusedPort(t), unusedPort(t), unusedPort(t)}
	e.submission, e.secure, e.plain = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1], "127.0.0.1:"+ports[2]
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if account.Uid == "0" {
		if account, err = user.Lookup("Debian-exim"); err != nil {
			t.Fatal(err)
		}
	}
	configuration := strings.NewReplacer("@DIR@", e.directory, "@SUBMISSION@", ports[0], "@SECURE@", ports[1], "@PLAIN@", ports[2],
		"@USER@", account.Username).Replace(eximConfiguration)
	people := ""
	for _, one := range []string{"starttls", "implicit", "none", "someone", "operator", "admin", "second"} {
		people += one + ": " + one + "\n"
	}
	files := map[string][]byte{"people": []byte(people), "exim.conf": []byte(configuration), "certificate.pem": e.authority.certificate, "key.pem": e.authority.key}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(e.directory, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	for _, name := range []string{"", "spool", "mail", "certificate.pem", "key.pem"} {
		path := filepath.Join(e.directory, name)
		if filepath.Ext(name) == "" {
			if err := os.MkdirAll(path, 0o750); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	// exim gives root up, and has to get there all the same.
	if err := os.Chmod(filepath.Dir(e.directory), 0o711); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	command := exec.Command(program, "-C", filepath.Join(e.directory, "exim.conf"), "-bdf")
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-ended
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(e.directory, "log_main"))
			t.Logf("exim4 says:\n%s\n%s", &output, log)
		}
	})
	for {
		if conn, err := net.Dial("tcp", e.plain); err == nil {
			_ = conn.Close()
			return e
		}
		select {
		case <-ended:
			t.Fatalf("exim4 has ended: %s", &output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func unusedPort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(int(testport.Unused(t)))
}

// received waits for a mail and reads it.
func (e *exim) received(t *testing.T, localPart string) (*mail.Message, string) {
	t.Helper()
	path := filepath.Join(e.directory, "mail", localPart)
	deadline := time.Now().Add(time.Minute)
	for {
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte("\n\n")) && bytes.HasSuffix(data, []byte("\n\n")) {
			if !bytes.HasPrefix(data, []byte("From ")) {
				t.Fatalf("no mailbox: %q", data[:min(len(data), 100)])
			}
			_, rest, _ := bytes.Cut(data, []byte("\n"))
			message, err := mail.ReadMessage(bytes.NewReader(rest))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(message.Body))
			if err != nil {
				t.Fatal(err)
			}
			return message, string(body)
		}
		if time.Now().After(deadline) {
			t.Fatalf("no mail for %s: %v", localPart, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// server is how a way gets at exim.
func (e *exim) server(address string, encryption Encryption, to ...string) *Mail {
	m := &Mail{
		Server: address, TLS: encryption, RootCAs: e.authority.pool, Hello: "node.example",
		From: &mail.Address{Name: "Spiegel für alle", Address: "mirrors@pool.example"},
	}
	for _, one := range to {
		m.To = append(m.To, &mail.Address{Address: one + "@localhost"})
	}
	if encryption != NoTLS {
		m.User, m.Password = "mirrors", func() (string, error) { return "open sesame", nil }
	}
	return m
}

// trouble is a message with texts that try to be more than texts.
func nastyMessage() *message {
	m := newMessage("node", time.Now())
	m.take([]notice{
		{status: statusTrouble, first: m.time.Add(-time.Hour), event: Event{
			Key: "a", Kind: State, Severity: Warning, Subject: "mirror https://münchen.example/\r\nBcc: everybody@example",
			Words:    "is down: status 200, expected \"ok\", found \"\r\n.\r\nMAIL FROM:<x>\" " + strings.Repeat("long ", 60),
			Evidence: []string{".", "..dots at the beginning", "ends with a space ", "Ω\x00\x1b[31m\u202eevil"},
		}.bounded(m.time)},
		{status: statusOver, first: m.time.Add(-2 * time.Hour), end: m.time, thread: "0123456789abcdef0123456789abcdef", event: Event{
			Key: "b", Kind: State, Subject: "mirror b", Words: "is down",
		}.bounded(m.time), over: "is up again"},
	})
	return m
}

func TestMailThroughExim(t *testing.T) {
	e := startExim(t)
	for name, server := range map[string]*Mail{
		"starttls": e.server(e.submission, StartTLS, "starttls"), // with AUTH PLAIN
		"implicit": e.server(e.secure, ImplicitTLS, "implicit"),  // with AUTH LOGIN
		"none":     e.server(e.plain, NoTLS, "none"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := server.Validate(); err != nil {
				t.Fatal(err)
			}
			m := nastyMessage()
			if err := attemptOnce(context.Background(), server, m, time.Minute); err != nil {
				t.Fatal(err)
			}
			got, body := e.received(t, name)
			wantHeader(t, got, "To", "<"+name+"@localhost>")
			wantHeader(t, got, "Auto-Submitted", "auto-generated")
			wantHeader(t, got, "Message-Id", "<"+m.id+"@pool.example>")
			wantHeader(t, got, "In-Reply-To", "<0123456789abcdef0123456789abcdef@pool.example>")
			wantHeader(t, got, "Return-Path", "<mirrors@pool.example>")
			if got.Header.Get("Bcc") != "" {
				t.Error("a reason has made a header")
			}
			from, err := got.Header.AddressList("From")
			if err != nil || from[0].Name != "Spiegel für alle" {
				t.Errorf("From %v: %v", from, err)
			}
			if date, err := got.Header.Date(); err != nil || time.Since(date) > time.Minute {
				t.Errorf("Date %s: %v", date, err)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
			if err != nil || subject != m.subject() || !strings.HasPrefix(subject, "[mirrorpool node] 1 wrong, 1 over: mirror https://münchen.example/  Bcc: everybody@example is down") {
				t.Errorf("Subject %q: %v\nwant    %q", subject, err, m.subject())
			}
			if want := m.text(); strings.TrimRight(strings.ReplaceAll(body, "\r\n", "\n"), "\n") != strings.TrimRight(want, "\n") {
				t.Errorf("body\n%q\nwant\n%q", body, want)
			}
			if received := got.Header.Get("Received"); !strings.Contains(received, map[bool]string{true: "with esmtpsa ", false: "with esmtp "}[name != "none"]) {
				t.Errorf("Received: %s", received)
			}
		})
	}
}

func wantHeader(t *testing.T, got *mail.Message, name, want string) {
	t.Helper()
	if have := got.Header[name]; len(have) != 1 || have[0] != want {
		t.Errorf("%s: got %q, want %q", name, have, want)
	}
}

func TestEximRefuses(t *testing.T) {
	e := startExim(t)
	wrong := e.server(e.submission, StartTLS, "a")
	wrong.Password = func() (string, error) { return "wrong", nil }
	noPassword := e.server(e.submission, StartTLS, "a")
	noPassword.User = ""
	unknown := e.server(e.submission, StartTLS, "a")
	unknown.RootCAs = x509.NewCertPool()
	unreadable := e.server(e.submission, StartTLS, "a")
	unreadable.Password = func() (string, error) { return "", os.ErrNotExist }
	open := e.server(e.plain, StartTLS, "a")
	nobodyAtAll := e.server(e.plain, NoTLS, "nobody-knows")
	someone := e.server(e.plain, NoTLS, "nobody-knows", "someone")
	deferred := e.server(e.plain, NoTLS, "later")
	sneaky := e.server(e.plain, NoTLS, "a")
	sneaky.User, sneaky.Password = "mirrors", wrong.Password
	for name, c := range map[string]struct {
		server *Mail
		words  string
		hope   bool
		some   bool
	}{
		"a wrong password":          {server: wrong, words: "logging in: the mail server says 535"},
		"no password":               {server: noPassword, words: "log in first"},
		"an unknown authority":      {server: unknown, words: "certificate signed by unknown authority", hope: true},
		"no file of the password":   {server: unreadable, words: "reading the mail server's password: file does not exist", hope: true},
		"no STARTTLS":               {server: open, words: "does not offer STARTTLS"},
		"an unknown recipient":      {server: nobodyAtAll, words: "there is no such person"},
		"one unknown recipient":     {server: someone, words: "naming the recipient nobody-knows@localhost: the mail server says 550", some: true, hope: true},
		"a recipient for later":     {server: deferred, words: "says 451", hope: true},
		"a password without TLS":    {server: sneaky, words: "passwords are sent over TLS alone"},
		"nobody at the other end":   {server: e.server("127.0.0.1:"+unusedPort(t), NoTLS, "a"), words: "connection refused", hope: true},
		"no TLS where it is wanted": {server: e.server(e.plain, ImplicitTLS, "a"), words: "shaking hands with the mail server", hope: true},
	} {
		t.Run(name, func(t *testing.T) {
			err := attemptOnce(context.Background(), c.server, nastyMessage(), time.Minute)
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Fatalf("got %v, want %q", err, c.words)
			}
			if is := errors.As(err, &hopeless{}); is == c.hope && !c.some {
				t.Errorf("hopeless: %t: %v", is, err)
			}
			if is := errors.As(err, &partly{}); is != c.some {
				t.Errorf("partly: %t: %v", is, err)
			}
		})
	}
	_, body := e.received(t, "someone")
	if !strings.Contains(body, "mirror b is up again") {
		t.Errorf("the one who is known got %q", body)
	}
}

func TestOperatorIsWrittenTo(t *testing.T) {
	e := startExim(t)
	server := e.server(e.submission, StartTLS, "admin", "second")
	m := nastyMessage()
	m.operator = "Örn <operator@localhost>"
	for i := range m.notices {
		m.notices[i].event.Mirror = "https://münchen.example/"
	}
	if err := attemptOnce(context.Background(), server, m, time.Minute); err != nil {
		t.Fatal(err)
	}
	got, body := e.received(t, "operator")
	wantHeader(t, got, "Reply-To", "<admin@localhost>, <second@localhost>")
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != "problem with your mirror https://münchen.example/ (and 1 more)" {
		t.Errorf("subject %q: %v", subject, err)
	}
	for _, want := range []string{"Mirror: https://münchen.example/\r\n", "What is wrong: ", "It is over: mirror b is up again.", "one mail a day at most"} {
		if !strings.Contains(strings.ReplaceAll(body, "\r\n", "\n"), strings.ReplaceAll(want, "\r\n", "\n")) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if exists(filepath.Join(e.directory, "mail", "admin")) {
		t.Error("the administrators have got the operator's mail")
	}
	m.operator = "somebody at example"
	if err := attemptOnce(context.Background(), server, m, 20*time.Second); !errors.As(err, &hopeless{}) {
		t.Errorf("an operator without an address: %v", err)
	}
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"mirrorpool/testport"
)

// postConfiguration is that of an exim4 that takes any mail and keeps it in one file a
// person.
const postConfiguration = `
primary_hostname = localhost
spool_directory = @DIR@/spool
log_file_path = @DIR@/log_%s
pid_file_path = @DIR@/pid
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = @PORT@
tls_advertise_hosts =
acl_smtp_rcpt = accept
keep_environment =
never_users = root
rfc1413_hosts =
host_lookup =
deliver_drop_privilege = true
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = @DIR@/mail/${lookup{$local_part}lsearch{@DIR@/people}}
  create_directory = false
  user = @USER@
`

// post is a mail server on loopback.
type post struct{ address, directory string }

func startPost(t *testing.T, people ...string) *post {
	t.Helper()
	need(t, "/usr/sbin/exim4")
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if account.Uid == "0" {
		if account, err = user.Lookup("Debian-exim"); err != nil {
			t.Fatal(err)
		}
	}
	p := &post{directory: t.TempDir()}
	port := strconv.Itoa(int(testport.Unused(t)))
	p.address = "127.0.0.1:" + port
	list := ""
	for _, one := range people {
		list += one + ": " + one + "\n"
	}
	configuration := strings.NewReplacer("@DIR@", p.directory, "@PORT@", port, "@USER@", account.Username).Replace(postConfiguration)
	for name, text := range map[string]string{"people": list, "exim.conf": configuration} {
		if err := os.WriteFile(filepath.Join(p.directory, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	for _, name := range []string{"", "spool", "mail"} {
		path := filepath.Join(p.directory, name)
		if err := os.MkdirAll(path, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	// exim gives root up, and has to get there all the same.
	if err := os.Chmod(filepath.Dir(p.directory), 0o711); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("/usr/sbin/exim4", "-C", filepath.Join(p.directory, "exim.conf"), "-bdf")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return p
}

// comes waits for so many mails to a person, and reads the last.
func (p *post) comes(to *running, person string, count int) (header mail.Header, subject, body string) {
	to.Helper()
	var mails [][]byte
	to.eventually(fmt.Sprintf("mail %d for %s comes", count, person), func() bool {
		data, err := os.ReadFile(filepath.Join(p.directory, "mail", person))
		if err != nil || !bytes.HasSuffix(data, []byte("\n\n")) {
			return false
		}
		mails = bytes.Split(append([]byte("\n"), data...), []byte("\nFrom mirrors@pool.example "))[1:]
		return len(mails) >= count
	})
	if len(mails) > count {
		to.Errorf("%d mails for %s, expected %d", len(mails), person, count)
	}
	_, text, _ := bytes.Cut(mails[count-1], []byte("\n"))
	message, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		to.Fatal(err)
	}
	decoded, err := io.ReadAll(quotedprintable.NewReader(message.Body))
	if err != nil {
		to.Fatal(err)
	}
	if subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		to.Fatal(err)
	}
	return message.Header, subject, string(decoded)
}

// TestMirrorsOperatorIsWrittenTo holds the way from a mirror that fails to its operator,
// and to the administrators, through a real mail server.
func TestMirrorsOperatorIsWrittenTo(t *testing.T) {
	var broken atomic.Bool
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(mirror.Close)
	_, port, err := net.SplitHostPort(mirror.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := startPost(t, "admin", "op")
	r := newRunning(t, fmt.Sprintf(`alerts:
  - smtp:
      server: %s
      from: Spiegel-Wächter <mirrors@pool.example>
      to: [admin@localhost]
      to_mirrors: true
      mirrors_after: 1s
    wait: 500ms
`, p.address))
	r.write("checkout/pools.json", fmt.Sprintf(alertedPools, port))
	good := r.push("Good")
	r.startAlerting()
	r.serving(good)
	broken.Store(true)
	admins, subject, _ := p.comes(r, "admin", 1)
	if !strings.Contains(subject, "2 wrong: ") || admins.Get("Auto-Submitted") != "auto-generated" || !strings.Contains(admins.Get("From"), "<mirrors@pool.example>") {
		t.Errorf("to the administrators: %q with %v", subject, admins)
	}
	first, subject, body := p.comes(r, "op", 1)
	if subject != "problem with your mirror one.example" || first.Get("To") != "<op@localhost>" || first.Get("Reply-To") != "<admin@localhost>" {
		t.Errorf("to the operator: %q with %v", subject, first)
	}
	for _, want := range []string{
		"Mirror: one.example\r\nPool: dl.example.test\r\n", "What is wrong: member one of dl.example.test at 127.0.0.1 is down: status 404, expected 200.\r\n",
		"asked: GET http://127.0.0.1:" + port + "/trace, Host: dl.example.test", "what came back: status 404",
	} {
		if !strings.Contains(strings.ReplaceAll(body, "\r\n", "\n"), strings.ReplaceAll(want, "\r\n", "\n")) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	broken.Store(false)
	second, subject, body := p.comes(r, "op", 2)
	if subject != "in order again: your mirror one.example" || second.Get("In-Reply-To") != first.Get("Message-Id") || second.Get("References") != first.Get("Message-Id") {
		t.Errorf("the end: %q with %v", subject, second)
	}
	if !strings.Contains(body, "is up again: status 200") {
		t.Errorf("the end: %s", body)
	}
	over, _, _ := p.comes(r, "admin", 2)
	if over.Get("In-Reply-To") != admins.Get("Message-Id") {
		t.Errorf("to the administrators, the end: %v is no answer to %s", over, admins.Get("Message-Id"))
	}
}

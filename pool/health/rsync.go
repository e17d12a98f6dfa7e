package health

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The phases of an rsync probe.
const (
	greeting phase = "waiting for the rsync greeting"
	modules  phase = "reading the list of modules"
	files    phase = "listing by rsync"
)

const (
	rsyncPort = 873
	// maxDialogue is how many bytes of a daemon's greeting and list of modules are read.
	maxDialogue = 64 << 10
	// maxRsyncMemory bounds what a daemon can make the program keep of its files.
	maxRsyncMemory = 64 << 20
)

// rsyncPlace is what is asked of which daemon.
type rsyncPlace struct {
	host         string // of a mirror's URL, with its port; empty for members
	address      netip.Addr
	port         uint16
	module, path string // path without a "/" at its beginning; empty: the module itself
}

// alone reports whether nothing is asked of a daemon but what modules it has.
func (p rsyncPlace) alone() bool { return p.host == "" && p.module == "" && p.path == "" }

// rsyncPlace finds the daemon and what of it is asked. A daemon knows no virtual hosts:
// the address says all.
func (a *attempt) rsyncPlace() (rsyncPlace, error) {
	t := a.target
	at := rsyncPlace{
		address: t.Address, port: cmp.Or(t.Probe.Port, rsyncPort),
		module: t.Probe.Module, path: strings.TrimLeft(t.Probe.Path, "/"),
	}
	if t.URL != "" {
		// Programs take what follows the host as it is, without percent-decoding.
		u, err := url.Parse(t.URL)
		if err != nil || u.Scheme != "rsync" || u.Hostname() == "" {
			return at, fail(Failed, "%s is not an rsync:// URL", quote([]byte(t.URL)))
		}
		_, rest, _ := strings.Cut(t.URL, "://")
		_, rest, _ = strings.Cut(rest, "/")
		at.host = u.Host
		at.module, at.path, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		at.path = strings.TrimLeft(at.path, "/")
		if text := u.Port(); text != "" {
			port, err := strconv.ParseUint(text, 10, 16)
			if err != nil || port == 0 {
				return at, fail(Failed, "%s is not a port", quote([]byte(text)))
			}
			at.port = uint16(port)
		}
	}
	switch {
	case at.alone():
		return at, nil
	case at.module == "":
		return at, fail(Failed, "no rsync module is named")
	case strings.ContainsFunc(at.module+at.path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return at, fail(Failed, "module and path have control characters: %s", quote([]byte(at.module+"/"+at.path)))
	case strings.ContainsAny(at.module+at.path, "*?[]\\"):
		// Daemons would take them for patterns, and any match for the file.
		return at, fail(Failed, `module and path have wildcards: %s`, quote([]byte(at.module+"/"+at.path)))
	case strings.HasPrefix(at.module, "#"):
		return at, fail(Failed, "%s is not the name of a module", quote([]byte(at.module)))
	}
	return at, nil
}

// rsync asks a daemon: it has to greet, and to list the file or module. What it says of
// its modules is asked without a program; the list of files needs one.
func (a *attempt) rsync(ctx context.Context) (string, error) {
	at, err := a.rsyncPlace()
	if err != nil {
		return "", err
	}
	addresses := []netip.Addr{at.address}
	if at.host != "" {
		if addresses, err = a.addresses(ctx, &url.URL{Host: at.host}); err != nil {
			return "", err
		}
	}
	connection, err := a.greeted(ctx, addresses, at.port)
	if err != nil {
		return "", err
	}
	at.address = a.result.Address
	there, list, err := a.modules(ctx, connection, at.module)
	if err != nil {
		return "", err
	}
	if at.alone() {
		return fmt.Sprintf("the daemon lists %d modules: %s", len(list), shortList(list)), nil
	}
	program := a.programs().Rsync
	if program == "" {
		return a.withoutProgram(ctx, at, there, errors.New("no program is configured"))
	}
	words, err := a.list(ctx, program, at)
	if missing, ok := errors.AsType[notStarted](err); ok {
		return a.withoutProgram(ctx, at, there, missing)
	}
	f, failed := errors.AsType[*failure](err)
	a.result.ByProgram = failed && (f.outcome == Missing || f.outcome == Content)
	if failed && f.outcome == Missing && !there && len(list) > 0 {
		return "", fail(Missing, "%s; the daemon lists %s", f.reason, shortList(list))
	}
	return words, err
}

// greeted connects to an rsync daemon and exchanges greetings. What else answers there is
// told by what it says to ours.
func (a *attempt) greeted(ctx context.Context, addresses []netip.Addr, port uint16) (*rsyncDialogue, error) {
	connection, err := a.connect(ctx, addresses, port)
	if err != nil {
		return nil, err
	}
	d := &rsyncDialogue{connection: connection, release: endWith(ctx, connection)}
	d.lines = bufio.NewReader(io.LimitReader(connection, maxDialogue))
	a.doing = greeting
	if err := a.greet(d); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// greet exchanges greetings. Ours goes first, so that a server which waits for a request
// says what it makes of one.
func (a *attempt) greet(d *rsyncDialogue) error {
	if _, err := io.WriteString(d.connection, "@RSYNCD: 31.0\n"); err != nil {
		return err
	}
	line, err := d.line()
	if err != nil && line == "" {
		return err
	}
	if err := greets(line); err != nil {
		return err
	}
	a.step(stepGreeting, line)
	return nil
}

// greets sees whether a line is the greeting of an rsync daemon, "@RSYNCD: 31.0 md5 md4".
func greets(line string) error {
	version, ok := strings.CutPrefix(line, "@RSYNCD: ")
	if !ok {
		if said, refused := strings.CutPrefix(line, "@ERROR"); refused {
			return daemonSays(said)
		}
		return fail(Protocol, "not an rsync daemon: it says %s", quote([]byte(line)))
	}
	version, _, _ = strings.Cut(version, " ")
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 20 || n > 1000 {
		return fail(Protocol, "not an rsync daemon: it says %s", quote([]byte(line)))
	}
	return nil
}

// modules asks for the list of modules and tells whether the one that is wanted stands
// there. One that does not may be there all the same: daemons may hide them.
func (a *attempt) modules(ctx context.Context, d *rsyncDialogue, wanted string) (there bool, list []string, err error) {
	defer d.close()
	a.doing = modules
	if _, err := io.WriteString(d.connection, "#list\n"); err != nil {
		return false, nil, err
	}
	for {
		line, err := d.line()
		if err == nil && strings.HasPrefix(line, "@ERROR") {
			return false, nil, daemonSays(strings.TrimPrefix(line, "@ERROR"))
		}
		if err != nil && ctx.Err() != nil {
			return false, nil, err
		}
		if err != nil || strings.HasPrefix(line, "@RSYNCD: EXIT") {
			break // old daemons end the list by closing; and a long one is not read to its end
		}
		// Names are filled up to 15 characters and end with a tab. What comes before is
		// the daemon's message of the day.
		if name, _, ok := strings.Cut(line, "\t"); ok && len(name) >= 15 {
			list = append(list, strings.TrimRight(name, " "))
		}
	}
	there = slices.Contains(list, wanted)
	a.step(stepModules, fmt.Sprintf("%d listed", len(list)))
	return there, list, nil
}

// withoutProgram finds what can be found where this machine cannot start rsync: whether
// the module is there. That a file cannot be looked for is no fault of the mirror.
func (a *attempt) withoutProgram(ctx context.Context, at rsyncPlace, there bool, why error) (string, error) {
	a.unable(why)
	if !there {
		if err := a.takesModule(ctx, at); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("module %s is there; its files are not looked at: %s", quote([]byte(at.module)), clip(why.Error())), nil
}

// takesModule asks a daemon for a module, and for nothing of it.
func (a *attempt) takesModule(ctx context.Context, at rsyncPlace) error {
	d, err := a.greeted(ctx, []netip.Addr{at.address}, at.port)
	if err != nil {
		return err
	}
	defer d.close()
	a.doing = modules
	if _, err := io.WriteString(d.connection, at.module+"\n"); err != nil {
		return err
	}
	for {
		line, err := d.line()
		if said, refused := strings.CutPrefix(line, "@ERROR"); refused {
			return daemonSays(said)
		}
		if strings.HasPrefix(line, "@RSYNCD: ") {
			return nil // OK, or AUTHREQD
		}
		if err != nil {
			return err
		}
	}
}

// rsyncDialogue is a connection to a daemon before the transfer begins, of which at most
// maxDialogue bytes are read.
type rsyncDialogue struct {
	connection net.Conn
	lines      *bufio.Reader
	release    func()
}

// line reads one line without its end. What comes before an error is given with it.
func (d *rsyncDialogue) line() (string, error) {
	line, err := d.lines.ReadBytes('\n')
	return string(bytes.TrimRight(line, "\r\n")), err
}

func (d *rsyncDialogue) close() {
	d.release()
	d.connection.Close()
}

// daemonSays words a refusal, which is what follows "@ERROR".
func daemonSays(said string) error {
	said = strings.TrimSpace(strings.TrimPrefix(said, ":"))
	outcome := Connection
	switch {
	case strings.HasPrefix(strings.ToLower(said), "unknown module"), strings.HasPrefix(said, "chdir failed"), strings.HasPrefix(said, "chroot failed"):
		outcome = Missing
	case strings.Contains(said, "protocol"):
		outcome = Protocol
	}
	return fail(outcome, "the rsync daemon refuses: %s", clip(said))
}

// shortList writes names with commas, the first few.
func shortList(names []string) string {
	const most = 8
	var all []string
	for _, name := range names[:min(len(names), most)] {
		all = append(all, clip(name))
	}
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all, ", "), more)
	}
	return strings.Join(all, ", ")
}

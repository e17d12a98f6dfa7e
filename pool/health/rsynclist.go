package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strings"
	"time"
)

// list has the program list the file or module, and judges what it prints.
func (a *attempt) list(ctx context.Context, program string, at rsyncPlace) (string, error) {
	a.doing = files
	// Whole seconds, and never less than what is left: the probe's own end comes first.
	left := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	seconds := int(left/time.Second) + 1
	one := process{
		path: program,
		arguments: []string{
			// Of a symbolic link the file that it leads to counts, as it does for those who
			// fetch it, with its own time; one that leads nowhere is not there.
			"--list-only", "--copy-links", "--no-motd", "--no-h",
			fmt.Sprintf("--contimeout=%d", seconds), fmt.Sprintf("--timeout=%d", seconds),
			"--", at.url(),
		},
		environment: []string{"PATH=" + programPath, "LC_ALL=C", "TZ=UTC"},
		memory:      maxRsyncMemory,
	}
	got, err := one.run(ctx)
	if err != nil {
		return "", err
	}
	words, err := a.judgeListing(at, got)
	if f, missing := errors.AsType[*failure](err); missing && f.outcome == Missing {
		a.step(stepListing, f.reason)
	} else if got.status == 0 || got.over {
		a.step(stepListing, firstOf(got.output))
	}
	return words, err
}

// url is the daemon's address with what is asked of it, as the program takes it.
func (at rsyncPlace) url() string {
	return "rsync://" + netip.AddrPortFrom(at.address, at.port).String() + "/" + at.module + "/" + at.path
}

// judgeListing says what a listing shows, or why there is none.
func (a *attempt) judgeListing(at rsyncPlace, got printed) (string, error) {
	what := "module " + quote([]byte(at.module))
	if at.path != "" {
		what = fmt.Sprintf("%s in module %s", quote([]byte(at.path)), quote([]byte(at.module)))
	}
	file, found := parseListing(got.output)
	if got.status != 0 && !got.over && !(found && got.onlyDangling()) {
		return "", explainRsync(what, got)
	}
	if !found {
		return "", fail(Missing, "rsync lists nothing for %s", what)
	}
	if name := path.Base(at.path); at.path != "" && !strings.HasSuffix(at.path, "/") && file.name != name && file.name != "." {
		return "", fail(Protocol, "rsync lists %s for %s", quote([]byte(file.name)), what)
	}
	maxAge := a.target.Probe.MaxAge
	if maxAge <= 0 {
		return what + " is there", nil
	}
	age, fresh := ageHeld(what, wholeSeconds(a.now().Unix()-file.changed.Unix()), maxAge)
	if !fresh {
		return "", &failure{Content, age}
	}
	return age, nil
}

// onlyDangling reports whether all that the program misses is what links lead to: some in
// a directory that is itself there.
func (p printed) onlyDangling() bool {
	return p.status == rsyncPartial && bytes.Contains(p.errors, []byte("symlink has no referent")) &&
		!bytes.Contains(p.errors, []byte("failed:"))
}

// listedFile is a line of rsync's listing.
type listedFile struct {
	name    string // as rsync writes it, with what is not printable escaped
	changed time.Time
}

// listingLine is what rsync prints of a file, "-rw-r--r-- 11 2026/11/23 15:10:08 name",
// with sizes without separators.
var listingLine = regexp.MustCompile(`^[-a-zA-Z]{10} +[0-9][0-9,.]*[KMGTP]? ([0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) (.+)$`)

// parseListing gives the first file of a listing. Times are UTC.
func parseListing(output []byte) (file listedFile, found bool) {
	for line := range strings.Lines(string(output)) {
		parts := listingLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if parts == nil {
			continue
		}
		changed, err := time.Parse("2006/01/02 15:04:05", parts[1])
		if err != nil {
			continue
		}
		return listedFile{name: parts[2], changed: changed}, true
	}
	return listedFile{}, false
}

// The exit codes of rsync(1) that tell what went wrong.
const (
	rsyncSocket          = 10
	rsyncPartial         = 23
	rsyncTimeout         = 30
	rsyncConnectionSlow  = 35
	rsyncProtocolStart   = 5
	rsyncProtocolStream  = 12
	rsyncIncompatibility = 2
)

// explainRsync words the failure of a run of the program.
func explainRsync(what string, got printed) error {
	said := strings.TrimPrefix(firstOf(got.errors), "rsync: ")
	if said == "" {
		said = "it does not say why"
	}
	if _, refusal, ok := strings.Cut(said, "@ERROR"); ok {
		return daemonSays(refusal)
	}
	switch got.status {
	case -1:
		return fail(Failed, "rsync was ended by a signal")
	case rsyncPartial:
		reason := "is not there"
		if strings.Contains(said, "Permission denied") {
			reason = "cannot be read: permission denied"
		}
		return fail(Missing, "%s %s", what, reason)
	case rsyncTimeout, rsyncConnectionSlow:
		return fail(Timeout, "no answer in time (%s)", files)
	case rsyncSocket:
		return fail(Connection, "rsync: %s", clip(said))
	case rsyncProtocolStart, rsyncProtocolStream, rsyncIncompatibility:
		return fail(Protocol, "rsync: %s", clip(said))
	}
	return fail(Failed, "rsync exits with %d: %s", got.status, clip(said))
}

// firstOf is the first line that is not empty, short and printable.
func firstOf(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return clip(strings.TrimSpace(line))
}

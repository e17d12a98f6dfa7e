//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/admin"
)

// TestEndToEndRollover replaces keys of every kind in real time, with TTLs of
// seconds, while a validating unbound asks all the while: nothing is ever bogus.
// The parent's DS records change by what BIND's dnssec-cds makes of CDS.
func TestEndToEndRollover(t *testing.T) {
	t.Parallel()
	need(t, "git", "dig", "dnssec-keygen", "dnssec-signzone", "dnssec-cds", "/usr/sbin/knotd", "/usr/sbin/unbound")
	program := builtProgram(t)
	l := newRollingLab(t, program)
	l.startValidator(resolverKinds[0], resolverSettings{})
	client := l.askAllTheWhile()
	defer client.end()

	var running sync.WaitGroup
	for _, zone := range rollingZones {
		running.Go(func() { l.roll(zone) })
	}
	followed, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(followed)
		l.parentFollows(stop)
	}()
	running.Wait()
	client.asksFor(3 * time.Second) // what was kept in caches is asked for again
	close(stop)
	<-followed
	client.end()
	if asked := client.asked; asked < 500 {
		t.Errorf("%d questions meanwhile, too few to tell", asked)
	}
	t.Run("a wrong DS is noticed", func(t *testing.T) { l.on(t).wrongDS() })
}

// rollingLab is a lab with a parent that a name server of its own serves.
type rollingLab struct {
	*signedLab
	parentKeys string
	serial     int
}

func (l *rollingLab) on(t *testing.T) *rollingLab {
	step := *l
	step.signedLab = l.signedLab.on(t)
	return &step
}

// rollingZone is one whose keys are replaced.
type rollingZone struct {
	apex string
	// keys make the first keys.
	keys func(l *rollingLab, apex string)
	// rollovers are flags of the command, one rollover after another.
	rollovers [][]string
	algorithm uint8 // of all keys in the end
}

var rollingZones = []rollingZone{
	{"csk.mirrors.test.", oneKey, [][]string{nil}, dns.ECDSAP256SHA256},
	{"split.mirrors.test.", twoKeys, [][]string{{"--kind", "zsk"}, {"--kind", "ksk"}}, dns.ECDSAP256SHA256},
	{"algorithm.mirrors.test.", oneKey, [][]string{{"--algorithm", "ed25519"}}, dns.ED25519},
}

func oneKey(l *rollingLab, apex string) { l.generateKey(l.keys, apex) }

func twoKeys(l *rollingLab, apex string) {
	l.generateBINDKey(l.keys, apex)
	l.command("dnssec-keygen", "-q", "-K", l.keys, "-a", "ECDSAP256SHA256", apex)
}

func newRollingLab(t *testing.T, program string) *rollingLab {
	l := &rollingLab{signedLab: newEmptyLab(t, program, belowHost)}
	l.parentKeys = filepath.Join(l.directory, "parent-keys")
	l.generateBINDKey(l.parentKeys, "mirrors.test.")
	var pools []string
	for _, zone := range rollingZones {
		zone.keys(l, zone.apex)
		for _, key := range l.keysOf(zone.apex) {
			if key.Flags&dns.SEP != 0 {
				digest := key.ToDS(dns.SHA256)
				digest.Hdr.Ttl = 1
				l.write("dsset/dsset-"+zone.apex, digest.String()+"\n")
			}
		}
		l.write("checkout/zones/"+zone.apex+"zone", fmt.Sprintf(`
$TTL 2
@ IN SOA ns1 hostmaster ( 1 2 1 1209600 1 )
@ IN NS ns1
ns1 IN A %s
note IN TXT "a static record"
*.wild IN TXT "a wildcard"
alias IN CNAME dl
`, host(l.home, tapHost)))
		pools = append(pools, fmt.Sprintf(`{ "name": "dl.%s", "ttl": 1, "answers": 2, "health": { "check": "none" }, "members": [
  { "id": "one", "addresses": ["127.0.0.31"], "weight": 1 }, { "id": "two", "addresses": ["127.0.0.32"], "weight": 1 },
  { "id": "three", "addresses": ["127.0.0.33"], "weight": 1 } ] }`, strings.TrimSuffix(zone.apex, ".")))
	}
	l.write("checkout/pools.json", `{ "version": 1, "pools": [`+strings.Join(pools, ",\n")+`] }`)
	l.signParent()
	l.startKnot("parent", filepath.Join(l.directory, "parent"), fmt.Sprintf("%s@53", host(l.home, belowHost)), "mirrors.test.")
	l.commit()
	key, _ := l.keyOf(l.parentKeys, "mirrors.test.")
	l.anchor = key.ToDS(dns.SHA256)
	l.configureServer(fmt.Sprintf(`
  dnssec_lifetime: 20s
  dnssec_propagation: 1s
  dnssec_parents: ["%s:53"]`, host(l.home, belowHost)))
	l.runServer()
	return l
}

// keysOf are the keys that the files hold.
func (l *rollingLab) keysOf(apex string) (keys []*dns.DNSKEY) {
	l.Helper()
	files, err := filepath.Glob(filepath.Join(l.keys, "K"+apex+"+*.key"))
	if err != nil {
		l.Fatal(err)
	}
	for _, file := range files {
		record, err := dns.ReadRR(strings.NewReader(l.read(file)), file)
		if err != nil {
			l.Fatal(err)
		}
		keys = append(keys, record.(*dns.DNSKEY))
	}
	return keys
}

// signParent writes the parent zone with the DS records there are now.
func (l *rollingLab) signParent() {
	l.Helper()
	l.serial++
	text := fmt.Sprintf("$TTL 1\n@ IN SOA ns hostmaster ( %d 2 1 1209600 1 )\n@ IN NS ns\nns IN A %s\n", l.serial, host(l.home, belowHost))
	for _, zone := range rollingZones {
		text += fmt.Sprintf("%[1]s IN NS ns1.%[1]s\nns1.%[1]s IN A %[2]s\n%[3]s", zone.apex, host(l.home, tapHost),
			l.read(filepath.Join(l.directory, "dsset/dsset-"+zone.apex)))
	}
	file := l.write("unsigned-parent", text)
	signed := filepath.Join(l.directory, "signed-parent")
	l.command("dnssec-signzone", "-S", "-z", "-K", l.parentKeys, "-d", l.parentKeys, "-o", "mirrors.test.", "-f", signed, file)
	l.write("parent/.keep", "")
	l.command("mv", signed, filepath.Join(l.directory, "parent/mirrors.test.zone"))
}

// parentFollows looks at the zones' CDS records as a registry does, until stop.
func (l *rollingLab) parentFollows(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(500 * time.Millisecond):
		}
		changed := false
		for _, zone := range rollingZones {
			changed = l.takeOver(zone.apex) || changed
		}
		if changed {
			l.reloadParent()
		}
	}
}

func (l *rollingLab) reloadParent() {
	l.signParent()
	_ = l.processes["parent"].Process.Signal(syscall.SIGHUP)
}

// takeOver has dnssec-cds judge the CDS records of a zone, and tells whether its DS
// records are other ones by that.
func (l *rollingLab) takeOver(apex string) bool {
	said := l.say("dig", "@127.0.0.1", "-p", fmt.Sprint(l.dnsPort), "+dnssec", "+noall", "+answer", "+norecurse", "+nocookie",
		apex, "DNSKEY", apex, "CDS", apex, "CDNSKEY")
	if !strings.Contains(said, "\tCDS\t") {
		return false
	}
	set := filepath.Join(l.directory, "dsset", "dsset-"+apex)
	before := l.read(set)
	// Signatures begin an hour before they are made.
	output := l.say("dnssec-cds", "-a", "SHA-256", "-i", "-s", "-86400", "-T", "1", "-d", set, "-f", l.write("cds-"+apex, said), apex)
	after, err := os.ReadFile(set)
	if err != nil || len(after) == 0 {
		l.Errorf("dnssec-cds of %s left no DS: %v\n%s\n%s", apex, err, output, said)
		return false
	}
	if output != "" {
		l.Logf("dnssec-cds of %s says: %s", apex, output)
	}
	return string(after) != before
}

// roll replaces the keys of a zone, one rollover after another, and waits until the
// old ones are gone.
func (l *rollingLab) roll(zone rollingZone) {
	for _, flags := range zone.rollovers {
		before, begun := l.published(zone.apex), time.Now().Truncate(time.Second)
		if said, err := exec.Command(l.program, append([]string{"rollover", zone.apex, "--config", l.config}, flags...)...).CombinedOutput(); err != nil {
			l.Errorf("rollover %s %v: %v\n%s", zone.apex, flags, err, said)
			return
		}
		steps := []string{}
		for {
			signing, err := l.signing(zone.apex)
			switch {
			case err != nil:
				l.Error(err)
				return
			case signing.Rollover != nil && !slices.Contains(steps, signing.Rollover.Step):
				steps = append(steps, signing.Rollover.Step)
			}
			if signing.Rollover == nil && signing.Last != nil && !signing.Last.Ended.Before(begun) {
				break
			}
			if time.Since(begun) > 2*time.Minute {
				l.Errorf("a rollover of %s is not over after %s:\n%s", zone.apex, time.Since(begun), l.say(l.program, "status", "--config", l.config))
				return
			}
			time.Sleep(250 * time.Millisecond)
		}
		l.Logf("%s %v took %s: %s", zone.apex, flags, time.Since(begun).Round(time.Second), strings.Join(steps, ", "))
		after := l.published(zone.apex)
		if len(after) != len(before) || slices.EqualFunc(before, after, func(a, b *dns.DNSKEY) bool { return a.PublicKey == b.PublicKey }) {
			l.Errorf("%s has after a rollover the keys %v, before it %v", zone.apex, after, before)
		}
	}
	for _, key := range l.published(zone.apex) {
		if key.Algorithm != zone.algorithm {
			l.Errorf("%s ended with %s", zone.apex, key)
		}
	}
}

// signing is what the server says of a zone.
func (l *rollingLab) signing(apex string) (*admin.Signing, error) {
	var state struct {
		Zones []struct {
			Apex   string         `json:"apex"`
			DNSSEC *admin.Signing `json:"dnssec"`
		} `json:"zones"`
	}
	body := l.get("/api/v1/state")
	if err := json.Unmarshal([]byte(body), &state); err != nil {
		return nil, fmt.Errorf("reading the state %q: %w", body, err)
	}
	for _, zone := range state.Zones {
		if dns.CanonicalName(zone.Apex) == apex && zone.DNSSEC != nil {
			return zone.DNSSEC, nil
		}
	}
	return nil, fmt.Errorf("the state says nothing of how %s is signed:\n%s", apex, body)
}

// published are the keys in the zone now.
func (l *rollingLab) published(apex string) (keys []*dns.DNSKEY) {
	question := new(dns.Msg)
	question.SetQuestion(apex, dns.TypeDNSKEY)
	reply, _, err := exchangeOnce("tcp", fmt.Sprintf("127.0.0.1:%d", l.dnsPort), question)
	if err != nil {
		l.Errorf("asking for the keys of %s: %v", apex, err)
		return nil
	}
	for _, record := range reply.Answer {
		if key, ok := record.(*dns.DNSKEY); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// wrongDS gives the parent the digest of a key that nobody has: that is to be
// noticed, or nothing would have been.
func (l *rollingLab) wrongDS() {
	zone := rollingZones[0].apex
	digest := l.published(zone)[0].ToDS(dns.SHA256)
	digest.Hdr.Ttl = 1
	l.write("dsset/dsset-"+zone, wrong(digest).String()+"\n")
	l.reloadParent()
	l.eventually("a wrong DS makes answers bogus", 30*time.Second, func() bool {
		_, got := l.validate("note."+zone, dns.TypeTXT)
		return got == bogus
	})
}

// steadyClient asks a validating resolver without a pause.
type steadyClient struct {
	lab    *rollingLab
	stop   chan struct{}
	ended  chan struct{}
	asked  int
	failed int
	once   sync.Once
}

func (l *rollingLab) askAllTheWhile() *steadyClient {
	c := &steadyClient{lab: l, stop: make(chan struct{}), ended: make(chan struct{})}
	c.round() // all is secure before anything begins
	go func() {
		defer close(c.ended)
		for {
			select {
			case <-c.stop:
				return
			case <-time.After(50 * time.Millisecond):
				c.round()
			}
		}
	}()
	return c
}

func (c *steadyClient) end() {
	c.once.Do(func() { close(c.stop) })
	<-c.ended
}

func (c *steadyClient) asksFor(d time.Duration) { time.Sleep(d) }

// round asks for something of each kind in each zone.
func (c *steadyClient) round() {
	l := c.lab
	for _, zone := range rollingZones {
		for _, q := range []struct {
			name  string
			kind  uint16
			rcode int
		}{
			{"dl.", dns.TypeA, noError},
			{"alias.", dns.TypeA, noError},
			{"note.", dns.TypeTXT, noError},
			{"note.", dns.TypeA, noError},
			{fmt.Sprintf("any%d.wild.", c.asked), dns.TypeTXT, noError},
			{fmt.Sprintf("none%d.", c.asked), dns.TypeA, nameError},
			{"", dns.TypeDNSKEY, noError},
			{"", dns.TypeSOA, noError},
		} {
			reply, got, err := l.verdictOf(q.name+zone.apex, q.kind)
			c.asked++
			switch {
			case c.failed > 5:
				return
			case err != nil:
				c.failed++
				l.Errorf("asking for %s%s: %v", q.name, zone.apex, err)
			case got != secure || reply.Rcode != q.rcode:
				c.failed++
				l.Errorf("at %s %s%s %s is %s:\n%s\n%s\nthe end of the resolver's log:\n%s", time.Now().Format(time.StampMilli),
					q.name, zone.apex, dns.Type(q.kind), got, reply, l.get("/api/v1/state"), lastLines(l.read(l.log("resolver")), 5))
			}
		}
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/admin"
	"mirrorpool/zones/rollover"
)

// fastClock is a clock that runs ahead of the true one, so that waits of minutes are
// over soon.
type fastClock struct {
	start  time.Time
	factor time.Duration
}

func (c *fastClock) wall() time.Time { return c.start.Add(c.monotonic()).Round(0) }

func (c *fastClock) monotonic() time.Duration { return time.Since(c.start) * c.factor }

// parentServer is a parent that has the DS records it is told, over TCP.
type parentServer struct {
	address string
	mutex   sync.Mutex
	records []dns.RR
	ttl     uint32 // of records that are taken from now on
	refuses bool
}

func newParentServer(t *testing.T) *parentServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &parentServer{address: listener.Addr().String(), ttl: 60}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(question)
		reply.Authoritative = true
		p.mutex.Lock()
		reply.Answer = p.records
		if p.refuses {
			reply.Answer, reply.Rcode = nil, dns.RcodeRefused
		}
		p.mutex.Unlock()
		reply.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: ".", Mbox: "."}}
		_ = w.WriteMsg(reply)
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ActivateAndServe()
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return p
}

// take has the DS records that a CDS RRset asks for.
func (p *parentServer) take(records []dns.RR) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.records = nil
	for _, rr := range records {
		if cds, is := rr.(*dns.CDS); is {
			ds := cds.DS
			ds.Hdr = dns.RR_Header{Name: cds.Hdr.Name, Rrtype: dns.TypeDS, Class: dns.ClassINET, Ttl: p.ttl}
			p.records = append(p.records, &ds)
		}
	}
}

// refuse has the server answer nothing, or answer again.
func (p *parentServer) refuse(refuses bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.refuses = refuses
}

// rolling is a node whose zone is signed, with a fast clock.
type rollingNode struct {
	*running
	clock  *fastClock
	parent *parentServer
}

func newRollingNode(t *testing.T, more string) *rollingNode {
	t.Helper()
	parent := newParentServer(t)
	r := &rollingNode{running: newRunning(t, ""), parent: parent, clock: &fastClock{start: time.Now(), factor: 400}}
	r.write("node.yaml", r.config(fmt.Sprintf("dns: {listen: [\"127.0.0.1:0\"], dnssec_keys: %q, dnssec_parents: [%q]%s}\n", r.path("keys"), parent.address, more)))
	return r
}

// begin starts the node with its clock.
func (r *rollingNode) begin() {
	r.Helper()
	config, err := loadConfig(r.path("node.yaml"))
	if err != nil {
		r.Fatal(err)
	}
	if r.node, err = newNode(r.path("node.yaml"), config, r.log); err != nil {
		r.Fatal(err)
	}
	r.node.clock.wall, r.node.clock.monotonic = r.clock.wall, r.clock.monotonic
	r.node.compiler.now, r.node.rollovers.monotonic = r.clock.wall, r.clock.monotonic
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.node.run(ctx, nil) }()
	poking := make(chan struct{})
	go func() { // timers run by the true clock
		defer close(poking)
		for sleep(ctx, 20*time.Millisecond) {
			r.node.rollovers.tableServed()
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-poking
		if err := <-ended; err != nil {
			r.Errorf("the node ended with: %v", err)
		}
	})
	r.Cleanup(r.stop)
	r.eventually("a table is served", func() bool { return r.node.compiler.table.Load() != nil })
}

// signing is how the zone is signed.
func (r *rollingNode) signing() *admin.Signing {
	r.Helper()
	described, err := r.node.rollovers.show("example.test.")
	if err != nil {
		r.Fatal(err)
	}
	return described
}

func (r *rollingNode) change(action string) error {
	_, err := r.node.rollovers.change(r.Context(), admin.RolloverChange{Zone: "example.test.", Action: action})
	return err
}

func (r *rollingNode) step(want rollover.Step) {
	r.Helper()
	r.eventually(fmt.Sprintf("step %q", want), func() bool {
		described := r.signing()
		if described.Rollover == nil {
			return want == ""
		}
		return described.Rollover.Step == string(want)
	})
}

// published are the tags of the DNSKEY RRset, sorted.
func (r *rollingNode) published() []uint16 {
	var tags []uint16
	for _, rr := range r.ask("example.test.", dns.TypeDNSKEY).Answer {
		if key, is := rr.(*dns.DNSKEY); is {
			tags = append(tags, key.KeyTag())
		}
	}
	slices.Sort(tags)
	return tags
}

// TestRollover replaces a zone's key over a restart, with a parent that follows CDS.
func TestRollover(t *testing.T) {
	r := newRollingNode(t, "")
	old := writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	r.eventually("the zone is signed", func() bool { return len(r.published()) == 1 })
	r.parent.take(r.ask("example.test.", dns.TypeCDS).Answer)
	r.eventually("the parent is in sync", func() bool { return r.signing().Parent.State == admin.ParentInSync })

	if err := r.change(admin.RolloverBegin); err != nil {
		t.Fatal(err)
	}
	if err := r.change(admin.RolloverBegin); err != nil {
		t.Errorf("what is under way is not shown: %v", err)
	}
	if err := r.change(admin.RolloverStart); !errors.Is(err, rollover.ErrUnderWay) {
		t.Errorf("a second one begins: %v", err)
	}
	fresh := r.signing().Rollover.New[0]
	r.eventually("both keys are published", func() bool { return len(r.published()) == 2 })
	r.step(rollover.StepParent)
	if err := r.change(admin.RolloverSay); err == nil || !strings.Contains(err.Error(), "says otherwise: its DS does not name the new key ") {
		t.Errorf("what the parent denies is taken: %v", err)
	}
	r.stop()

	r.begin()
	r.step(rollover.StepParent) // as soon as somebody has looked at the table
	r.eventually("CDS names the new key", func() bool {
		answer := r.ask("example.test.", dns.TypeCDS).Answer
		return len(answer) == 1 && strings.HasSuffix(fresh, fmt.Sprintf("+%05d", answer[0].(*dns.CDS).KeyTag))
	})
	r.parent.take(r.ask("example.test.", dns.TypeCDS).Answer)
	r.step("")
	r.eventually("the new key is alone", func() bool {
		tags := r.published()
		return len(tags) == 1 && tags[0] != old.Tag()
	})
	described := r.signing()
	if described.Last == nil || described.Last.Cancelled || described.Last.New[0] != fresh {
		t.Errorf("the last rollover: %+v", described.Last)
	}
	r.eventually("the parent is in sync", func() bool { return r.signing().Parent.State == admin.ParentInSync })
	r.noneBegins("less than a day ago")
	r.stop()

	// The files alone say the same.
	if err := os.Remove(filepath.Join(r.path("state"), rolloversFile)); err != nil {
		t.Fatal(err)
	}
	r.begin()
	if tags := r.published(); len(tags) != 1 || tags[0] == old.Tag() {
		t.Errorf("without the state the keys %v are published", tags)
	}
	r.eventually("CDS names the new key", func() bool { return len(r.ask("example.test.", dns.TypeCDS).Answer) == 1 })
}

// TestRolloverTurnedBack: while the parent is waited for, CDS can ask for the old DS
// again; the parent is believed only when it can have nothing else to do.
func TestRolloverTurnedBack(t *testing.T) {
	r := newRollingNode(t, "")
	old := writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	r.eventually("the zone is signed", func() bool { return len(r.published()) == 1 })
	r.parent.take(r.ask("example.test.", dns.TypeCDS).Answer)
	if err := r.change(admin.RolloverStart); err != nil {
		t.Fatal(err)
	}
	r.step(rollover.StepParent)
	for range 2 { // as who has not had the first answer
		if err := r.change(admin.RolloverCancel); err != nil {
			t.Fatal(err)
		}
	}
	r.eventually("CDS names the old key, and both are published", func() bool {
		answer := r.ask("example.test.", dns.TypeCDS).Answer
		return len(answer) == 1 && answer[0].(*dns.CDS).KeyTag == old.Tag() && len(r.published()) == 2
	})
	if err := r.change(admin.RolloverSay); !errors.Is(err, rollover.ErrTooEarly) {
		t.Errorf("what is said at once is taken: %v", err)
	}
	var described *admin.Signing
	r.eventually("it is known until when it waits", func() bool {
		described = r.signing()
		return described.Rollover != nil && described.Rollover.Until != nil
	})
	if at := described.Rollover; !at.Turned || at.Step != string(rollover.StepParent) || at.New[0] != old.ID() || at.Until.Sub(r.clock.wall()) < parentDelay/2 {
		t.Errorf("it stands so: %+v", at)
	}
	var out strings.Builder
	printZoneSigning(&out, "example.test.", described, r.clock.wall())
	named := fmt.Sprintf("the old key %d", old.Tag())
	for _, words := range []string{
		"rollover (turned back, csk, ECDSAP256SHA256)", "CDS and CDNSKEY name " + named, "the parent's DS names " + named, "the zone is without the new key ",
		fmt.Sprintf("the old DS, to be handed in at step \"parent\" and not before:\n    example.test. IN DS %d ", old.Tag()),
	} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("%q is not in\n%s", words, out.String())
		}
	}
	if strings.Contains(out.String(), "can be cancelled") {
		t.Error(out.String())
	}
	other := *r.ask("example.test.", dns.TypeCDS).Answer[0].(*dns.CDS)
	other.KeyTag++
	r.parent.take([]dns.RR{&other})
	if err := r.change(admin.RolloverSay); err == nil || !strings.Contains(err.Error(), "does not name "+named+" alone") {
		t.Errorf("what the parent denies is taken: %v", err)
	}
}

// TestRolloverWithoutDS: a parent that has no DS is no reason to wait for ever, once
// somebody says that there is to be none.
func TestRolloverWithoutDS(t *testing.T) {
	r := newRollingNode(t, "")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	if err := r.change(admin.RolloverStart); err != nil {
		t.Fatal(err)
	}
	r.step(rollover.StepParent)
	r.eventually("the parent is known to have none", func() bool { return r.signing().Parent.State == admin.ParentNone })
	var out strings.Builder
	printZoneSigning(&out, "example.test.", r.signing(), r.clock.wall())
	if !strings.Contains(out.String(), "no DS at all") {
		t.Error(out.String())
	}
	if err := r.change(admin.RolloverSay); err != nil {
		t.Fatal(err)
	}
	r.step(rollover.StepParentCaches)
}

// TestDamagedRollovers: with a file that cannot be read every key stays in use, it is
// said, and nothing begins.
func TestDamagedRollovers(t *testing.T) {
	r := newRollingNode(t, "")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	if err := r.change(admin.RolloverStart); err != nil {
		t.Fatal(err)
	}
	r.eventually("both keys are published", func() bool { return len(r.published()) == 2 })
	r.step(rollover.StepParent)
	r.stop()
	good, err := os.ReadFile(filepath.Join(r.path("state"), rolloversFile))
	if err != nil {
		t.Fatal(err)
	}
	r.write("state/"+rolloversFile, string(good[:len(good)/2]))
	r.begin()
	if tags := r.published(); len(tags) != 2 {
		t.Errorf("the keys %v are published", tags)
	}
	if answer := r.ask("example.test.", dns.TypeCDS).Answer; len(answer) > 0 {
		t.Errorf("the parent is asked for %v", answer)
	}
	if err := r.change(admin.RolloverStart); err == nil || !strings.Contains(err.Error(), rolloversFile) {
		t.Errorf("a rollover begins: %v", err)
	}
	if problem := r.signing().Problem; !strings.Contains(problem, rolloversFile) {
		t.Errorf("the problem is %q", problem)
	}
	failing := r.node.stages.list()
	if !slices.ContainsFunc(failing, func(one namedFailure) bool { return one.stage == stageRollovers }) {
		t.Errorf("what fails is %v", failing)
	}
	left, err := os.ReadFile(filepath.Join(r.path("state"), rolloversFile))
	if err != nil || !bytes.Equal(left, good[:len(good)/2]) {
		t.Errorf("the file was overwritten: %v", err)
	}
	// It is taken up again as soon as it is whole.
	r.write("state/"+rolloversFile, string(good))
	r.step(rollover.StepParent)
	r.eventually("the parent is asked again", func() bool { return len(r.ask("example.test.", dns.TypeCDS).Answer) == 1 })
}

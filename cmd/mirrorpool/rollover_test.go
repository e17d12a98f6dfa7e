package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
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
}

func newParentServer(t *testing.T) *parentServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &parentServer{address: listener.Addr().String()}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(question)
		reply.Authoritative = true
		p.mutex.Lock()
		reply.Answer = p.records
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
			ds.Hdr = dns.RR_Header{Name: cds.Hdr.Name, Rrtype: dns.TypeDS, Class: dns.ClassINET, Ttl: 60}
			p.records = append(p.records, &ds)
		}
	}
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

	if err := r.change(admin.RolloverStart); err != nil {
		t.Fatal(err)
	}
	if err := r.change(admin.RolloverStart); !errors.Is(err, rollover.ErrUnderWay) {
		t.Errorf("a second one begins: %v", err)
	}
	fresh := r.signing().Rollover.New[0]
	r.eventually("both keys are published", func() bool { return len(r.published()) == 2 })
	r.step(rollover.StepParent)
	if err := r.change(admin.RolloverCancel); !errors.Is(err, rollover.ErrTooLate) {
		t.Errorf("it is cancelled: %v", err)
	}
	if err := r.change(admin.RolloverSay); err == nil || !strings.Contains(err.Error(), "says otherwise") {
		t.Errorf("what the parent denies is taken: %v", err)
	}
	r.stop()

	r.begin()
	if described := r.signing(); described.Rollover == nil || described.Rollover.Step != string(rollover.StepParent) {
		t.Fatalf("after a restart: %+v", described.Rollover)
	}
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

// TestRolloverByHTTP: a rollover of another algorithm begins, is cancelled, and the DS
// withdrawn, by requests that no web page can make.
func TestRolloverByHTTP(t *testing.T) {
	r := newRollingNode(t, ", dnssec_propagation: 24h")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	base := "http://" + r.node.admin.listener().(*admin.Server).Address().String()
	ask := func(method, query string, header bool) (int, string, *admin.Signing) {
		t.Helper()
		path := rolloverPath
		if method == http.MethodPost {
			path = rolloverChangePath
		}
		request, err := http.NewRequestWithContext(t.Context(), method, base+path+"?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if header {
			request.Header.Set("X-Mirrorpool", "1")
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(response.Body); err != nil {
			t.Fatal(err)
		}
		var described admin.Signing
		if err := json.Unmarshal(body.Bytes(), &described); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, body.String(), &described
	}
	zone := "zone=EXAMPLE.test"
	steps := []struct {
		method, query string
		header        bool
		status        int
		says          string
		check         func(*admin.Signing) bool
	}{
		{"GET", zone, false, 200, "", func(s *admin.Signing) bool { return s.Rollover == nil && len(s.Keys) == 1 && s.Keys[0].Role == "csk" }},
		{"GET", "zone=other.test", false, 404, "example.test.", nil},
		{"GET", "zone=..", false, 400, "", nil},
		{"POST", zone + "&action=start", false, 403, "X-Mirrorpool", nil},
		{"POST", zone + "&action=restart", true, 400, "restart", nil},
		{"POST", zone + "&action=start&kind=ksk", true, 409, "csk", nil},
		{"POST", zone + "&action=start&algorithm=rot13", true, 409, "rot13", nil},
		{"POST", zone + "&action=cancel", true, 409, "no rollover", nil},
		{"POST", zone + "&action=start&algorithm=ed25519", true, 200, "", func(s *admin.Signing) bool {
			return s.Rollover.Kind == "algorithm" && s.Rollover.Step == "sign" && s.Rollover.Of == 6 && s.Rollover.Cancel
		}},
		{"POST", zone + "&action=withdraw-ds", true, 409, "under way", nil},
		{"POST", zone + "&action=ds-seen&ds_ttl=-1s", true, 400, "ds_ttl", nil},
		{"POST", zone + "&action=ds-seen", true, 409, "does not wait", nil},
		{"POST", zone + "&action=cancel", true, 200, "", func(s *admin.Signing) bool { return s.Rollover == nil && s.Last.Cancelled }},
		{"POST", zone + "&action=withdraw-ds", true, 200, "", func(s *admin.Signing) bool { return s.Withdrawing != nil }},
		{"POST", zone + "&action=start", true, 409, "delete", nil},
	}
	for _, step := range steps {
		status, body, described := ask(step.method, step.query, step.header)
		if status != step.status || !strings.Contains(body, step.says) || step.check != nil && !step.check(described) {
			t.Fatalf("%s %s: %d %s", step.method, step.query, status, body)
		}
	}
	r.eventually("CDS asks for the deletion", func() bool {
		answer := r.ask("example.test.", dns.TypeCDS).Answer
		return len(answer) == 1 && answer[0].(*dns.CDS).Algorithm == 0
	})
	if status, body, _ := ask("POST", zone+"&action=no-withdraw-ds", true); status != 200 {
		t.Fatal(body)
	}
	r.eventually("CDS names the key again", func() bool {
		answer := r.ask("example.test.", dns.TypeCDS).Answer
		return len(answer) == 1 && answer[0].(*dns.CDS).Algorithm != 0
	})
}

// TestRolloverText: what people read says what is done, how long it takes, and what
// they have to do.
func TestRolloverText(t *testing.T) {
	r := newRollingNode(t, ", dnssec_propagation: 24h")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	if err := r.change(admin.RolloverStart); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	printZoneSigning(&out, "example.test.", r.signing(), r.clock.wall())
	text := out.String()
	for _, words := range []string{
		"step 1 of 4", "> publish", "at least 24h05m", "until the parent has it", "IN DS", "can be cancelled still",
	} {
		if !strings.Contains(text, words) {
			t.Errorf("%q is not in\n%s", words, text)
		}
	}
}

// TestStatusPage: the page shows each part, and nothing in it reaches the terminal as
// more than text.
func TestStatusPage(t *testing.T) {
	r := newRollingNode(t, "")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	r.node.stages.fail(stageGeo, errors.New("the file is \x1b[31mred"))
	c := &client{base: "http://" + r.node.admin.listener().(*admin.Server).Address().String(), http: http.DefaultClient}
	body, err := c.do(t.Context(), http.MethodGet, "/api/v1/state", url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	var page statusPage
	if err := json.Unmarshal(body, &page); err != nil {
		t.Fatal(err)
	}
	var text, out strings.Builder
	page.print(&text, r.clock.wall())
	if err := printPlain(&out, text.String()); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{
		"mirrorpool ", "serving commit ", "PROBLEM: geo fails since", "the file is ?[31mred", "zone example.test. serial ", ", signed",
		"csk", "DS at the parent", "pool dl.example.test", "disabled two 127.0.0.42",
	} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("%q is not in\n%s", words, out.String())
		}
	}
}

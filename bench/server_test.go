//go:build linux

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/bench/load"
)

const goodDescription = `package: knot
version: 3.2.6
scenarios: pool static
records: 5
kind: static
note: one
note: two
colour: green
`

func TestDescriptionsAreRead(t *testing.T) {
	s, err := parseDescription("knot", goodDescription)
	if err != nil {
		t.Fatal(err)
	}
	if s.version != "3.2.6" || s.records != 5 || s.kind != "static" || s.missing != "" || !slices.Equal(s.notes, []string{"one", "two"}) {
		t.Errorf("the server is %+v", s)
	}
	if !s.is("pool") || !s.is("static") || s.is("tcp") {
		t.Errorf("it can %v", s.can)
	}
	for _, wrong := range []string{"", "no colon\n", "scenarios: pool\n", "records: 5\n", "scenarios: pool\nrecords: many\n", "scenarios: pool\nrecords: 0\n"} {
		if _, err := parseDescription("knot", wrong); err == nil {
			t.Errorf("%q is taken for a description", wrong)
		}
	}
}

func TestPeersAreFound(t *testing.T) {
	directory := t.TempDir()
	for name, mode := range map[string]os.FileMode{"common.sh": 0o644, "build-go-peers.sh": 0o755, "knot.sh": 0o755, "README": 0o755} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte("#!/bin/sh\ncat <<'E'\n"+goodDescription+"E\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	peers, err := findPeers(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	if len(peers) != 1 || peers[0].name != "knot" {
		t.Fatalf("the peers are %v", peers)
	}
	cmd, err := peers[0].command(startOptions{port: 5301, directory: "/d"})
	if err != nil || !slices.Equal(cmd.Args[1:], []string{"5301", "/d", "1"}) {
		t.Errorf("the command is %v, %v", cmd, err)
	}
	missing := "#!/bin/sh\nif [ $1 = --describe ]; then\ncat <<'E'\n" + strings.Replace(goodDescription, "version: 3.2.6\n", "", 1) + "E\nelse echo apt-get install knot >&2; exit 77; fi\n"
	if err := os.WriteFile(filepath.Join(directory, "knot.sh"), []byte(missing), 0o755); err != nil {
		t.Fatal(err)
	}
	if peers, err = findPeers(t.Context(), directory); err != nil || peers[0].missing != "apt-get install knot" {
		t.Errorf("a server that is not installed: %+v, %v", peers, err)
	}
	if err := os.WriteFile(filepath.Join(directory, "bad.sh"), []byte("#!/bin/sh\necho cannot >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := findPeers(t.Context(), directory); err == nil || !strings.Contains(err.Error(), "cannot") {
		t.Errorf("the error is %v", err)
	}
}

func TestServersAreChosen(t *testing.T) {
	all := []*server{{name: "a"}, {name: "b", missing: "apt-get install b"}, {name: "c"}}
	names := func(servers []*server) (list []string) {
		for _, s := range servers {
			list = append(list, s.name)
		}
		return list
	}
	chosen, err := chooseServers(all, "")
	if err != nil || !slices.Equal(names(chosen), []string{"a", "c"}) {
		t.Errorf("%v, %v", names(chosen), err)
	}
	chosen, err = chooseServers(all, "c, a")
	if err != nil || !slices.Equal(names(chosen), []string{"c", "a"}) {
		t.Errorf("%v, %v", names(chosen), err)
	}
	for wrong, want := range map[string]string{"d": "no server", "b": "apt-get install b"} {
		if _, err := chooseServers(all, wrong); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestEveryKindOfQuestionIsAPlan(t *testing.T) {
	o := &options{duration: time.Second, rate: 20000}
	for _, s := range []*server{{name: "peer", records: 4, poolAAAA: poolName}, oursAsServer(oursName, &site{}), {name: "echo", echo: true, poolAAAA: poolName}} {
		for _, c := range scenarios() {
			plan, err := c.plan(s, o)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			plan.Server = goodServer
			if err := plan.Validate(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if strings.HasPrefix(c.name, "static") && len(plan.Questions) != 50 || (plan.Rate > 0) != (c.name == "latency") {
				t.Errorf("%s: %d questions, a rate of %g", c.name, len(plan.Questions), plan.Rate)
			}
			// One size, so that a batch is one segmented datagram.
			if sizes := distinctSizes(plan.Questions); !strings.HasPrefix(c.name, "static") && sizes != 1 {
				t.Errorf("%s, %s: questions of %d sizes", s.name, c.name, sizes)
			}
		}
	}
}

func distinctSizes(questions []load.Question) int {
	sizes := map[int]bool{}
	for _, q := range questions {
		sizes[len(q.Packet)] = true
	}
	return len(sizes)
}

func TestAnswersAreReadWhole(t *testing.T) {
	peer := &server{name: "peer", records: 4, poolAAAA: poolName}
	ask := func(t *testing.T, form load.Form) load.Question {
		t.Helper()
		questions, err := poolQuestions(1, 0, form)(peer)
		if err != nil {
			t.Fatal(err)
		}
		return questions[0]
	}
	subnet := func(m *dns.Msg) *dns.EDNS0_SUBNET { return findSubnet(m.IsEdns0()) }
	for _, c := range []struct {
		name   string
		form   load.Form
		change func(*dns.Msg)
		want   string // in the error; empty: none
	}{
		{name: "right"},
		{name: "right with EDNS", form: load.Form{EDNS: true}},
		{name: "right with a client subnet", form: load.Form{Varying: load.VarySubnet4}},
		{name: "not authoritative", change: func(m *dns.Msg) { m.Authoritative = false }, want: "header"},
		{name: "truncated", change: func(m *dns.Msg) { m.Truncated = true }, want: "header"},
		{name: "another id", change: func(m *dns.Msg) { m.Id++ }, want: "header"},
		{name: "SERVFAIL", change: func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, want: "SERVFAIL"},
		{name: "another question", change: func(m *dns.Msg) { m.Question[0].Name = "x." }, want: "question"},
		{name: "the same record again", change: func(m *dns.Msg) { m.Answer[3] = m.Answer[0] }, want: "3 different"},
		{name: "no OPT", form: load.Form{EDNS: true}, change: func(m *dns.Msg) { m.Extra = nil }, want: "no OPT"},
		{name: "no subnet", form: load.Form{Varying: load.VarySubnet4}, change: func(m *dns.Msg) { m.IsEdns0().Option = nil }, want: "no client subnet"},
		{name: "another subnet", form: load.Form{Varying: load.VarySubnet4}, change: func(m *dns.Msg) { subnet(m).Address = net.IPv4(9, 9, 9, 0) }, want: "client subnet is"},
		{name: "another source", form: load.Form{Varying: load.VarySubnet6}, change: func(m *dns.Msg) { subnet(m).SourceNetmask = 48 }, want: "client subnet is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := ask(t, c.form)
			packet := q.Sample(5, 6)
			err := checkWhole(peer, q, packet, peerAnswer(t, packet, c.change))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the error is %v, expected %q", err, c.want)
			}
		})
	}
	if err := checkWhole(peer, ask(t, load.Form{}), ask(t, load.Form{}).Sample(1, 1), []byte{1, 2, 3}); err == nil {
		t.Error("three bytes are taken for an answer")
	}
}

// peerAnswer is a right answer with a change.
func peerAnswer(t *testing.T, packet []byte, change func(*dns.Msg)) []byte {
	t.Helper()
	var asked dns.Msg
	if err := asked.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg).SetReply(&asked)
	m.Authoritative = true
	for i := range 4 {
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: asked.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: []byte{127, 0, 0, byte(i)},
		})
	}
	if opt := asked.IsEdns0(); opt != nil {
		m.Extra = append(m.Extra, opt)
	}
	if change != nil {
		change(m)
	}
	text, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheEchoIsAFloor(t *testing.T) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no C compiler: apt-get install gcc libc6-dev")
	}
	echo := filepath.Join(t.TempDir(), "echo")
	if output, err := exec.Command(compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", echo, "floor/echo.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, arguments := range [][]string{{}, {"0"}, {"70000"}, {"x"}, {"5301", "-1"}, {"5301", "5000"}, {"5301", "1", "1"}} {
		if exec.Command(echo, arguments...).Run() == nil {
			t.Errorf("the echo takes %v", arguments)
		}
	}
	o := testOptions(t)
	chosen, err := chooseScenarios("pool-a,nxdomain")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range floors(echo) {
		pad := 48
		for k := range chosen {
			m, larger, err := o.measure(t.Context(), s, &chosen[k], pad)
			if err != nil {
				t.Fatal(err)
			}
			if m.share() != 1 || larger != i*pad {
				t.Errorf("%s, %s: %+v, answers %d bytes larger, expected %d", s.name, chosen[k].name, m, larger, i*pad)
			}
		}
	}
	for _, s := range floors(filepath.Join(t.TempDir(), "none")) {
		if !strings.Contains(s.missing, "make bench") {
			t.Errorf("an echo that is not built: %q", s.missing)
		}
	}
}

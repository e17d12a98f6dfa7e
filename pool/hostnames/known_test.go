package hostnames

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool"
)

func addresses(texts string) []netip.Addr {
	var list []netip.Addr
	for _, text := range strings.Fields(texts) {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func answered(texts string) finding { return finding{addresses: addresses(texts), ttl: time.Minute} }

var (
	noneOfIt = finding{empty: true, ttl: time.Hour}
	notThere = finding{missing: true, ttl: time.Hour}
	broken   = finding{err: errors.New("asking 127.0.0.1:53: no answer")}
)

// Each line is a look-up: what A and AAAA came to, and what is known then.
func TestState(t *testing.T) {
	type line struct {
		v4, v6  finding
		known   string
		problem string
	}
	const (
		asked = "asking 127.0.0.1:53: no answer"
		kept  = "; the last good answer is kept "
	)
	for name, lines := range map[string][]line{
		"both": {
			{answered("8.8.8.2 8.8.8.1 8.8.8.2"), answered("2606:4700::1"), "8.8.8.1 8.8.8.2 2606:4700::1", ""},
			{answered("8.8.8.3"), answered("2606:4700::2"), "8.8.8.3 2606:4700::2", ""},
		},
		"one family": {
			{answered("8.8.8.1"), noneOfIt, "8.8.8.1", ""},
			{answered("8.8.8.1"), notThere, "8.8.8.1", ""},
			{answered("8.8.8.1"), answered("2606:4700::1"), "8.8.8.1 2606:4700::1", ""},
		},
		"the other family": {
			{noneOfIt, answered("2606:4700::1"), "2606:4700::1", ""},
			{broken, answered("2606:4700::1"), "2606:4700::1", "A: " + asked},
			{noneOfIt, answered("2606:4700::1"), "2606:4700::1", ""},
		},
		"no answer": {
			{broken, broken, "", "A: " + asked + "; AAAA: " + asked},
			{answered("8.8.8.1"), answered("2606:4700::1"), "8.8.8.1 2606:4700::1", ""},
			{broken, broken, "8.8.8.1 2606:4700::1", "A: " + asked + kept + "(8.8.8.1); AAAA: " + asked + kept + "(2606:4700::1)"},
			{broken, answered("2606:4700::2"), "8.8.8.1 2606:4700::2", "A: " + asked + kept + "(8.8.8.1)"},
			{answered("8.8.8.1"), broken, "8.8.8.1 2606:4700::2", "AAAA: " + asked + kept + "(2606:4700::2)"},
		},
		"the name is gone": {
			{notThere, notThere, "", "A: the name is not there (NXDOMAIN)"},
			{answered("8.8.8.1"), noneOfIt, "8.8.8.1", ""},
			{notThere, notThere, "8.8.8.1", "A: the name is not there (NXDOMAIN)" + kept + "(8.8.8.1)"},
			{notThere, notThere, "8.8.8.1", "A: the name is not there (NXDOMAIN)" + kept + "(8.8.8.1)"},
			{noneOfIt, noneOfIt, "8.8.8.1", "A: the name has no address" + kept + "(8.8.8.1)"},
		},
		"both gone": {
			{answered("8.8.8.1"), answered("2606:4700::1"), "8.8.8.1 2606:4700::1", ""},
			{noneOfIt, noneOfIt, "8.8.8.1 2606:4700::1", "A: the name has no address" + kept + "(8.8.8.1); AAAA: the name has no address" + kept + "(2606:4700::1)"},
			{noneOfIt, broken, "8.8.8.1 2606:4700::1", "A: the name has no such address now, and nothing is known of the other family" + kept + "(8.8.8.1); AAAA: " + asked + kept + "(2606:4700::1)"},
		},
		"out of IPv6": {
			{answered("8.8.8.1"), answered("2606:4700::1"), "8.8.8.1 2606:4700::1", ""},
			{answered("8.8.8.1"), noneOfIt, "8.8.8.1 2606:4700::1", "AAAA: the name has no such address now" + kept + "(2606:4700::1)"},
			{answered("8.8.8.1"), noneOfIt, "8.8.8.1", ""},
			{answered("8.8.8.1"), noneOfIt, "8.8.8.1", ""},
		},
		"not twice in a row": {
			{answered("8.8.8.1"), answered("2606:4700::1"), "8.8.8.1 2606:4700::1", ""},
			{answered("8.8.8.1"), noneOfIt, "8.8.8.1 2606:4700::1", "AAAA: the name has no such address now" + kept + "(2606:4700::1)"},
			{answered("8.8.8.1"), broken, "8.8.8.1 2606:4700::1", "AAAA: " + asked + kept + "(2606:4700::1)"},
			{answered("8.8.8.1"), noneOfIt, "8.8.8.1 2606:4700::1", "AAAA: the name has no such address now" + kept + "(2606:4700::1)"},
			{broken, noneOfIt, "8.8.8.1 2606:4700::1", "A: " + asked + kept + "(8.8.8.1); AAAA: the name has no such address now, and nothing is known of the other family" + kept + "(2606:4700::1)"},
			{answered("8.8.8.1"), noneOfIt, "8.8.8.1 2606:4700::1", "AAAA: the name has no such address now" + kept + "(2606:4700::1)"},
			{answered("8.8.8.1"), answered("2606:4700::1"), "8.8.8.1 2606:4700::1", ""},
		},
		"restless": {
			{answered("8.8.8.1"), noneOfIt, "8.8.8.1", ""},
			{answered("8.8.8.2"), noneOfIt, "8.8.8.2", ""},
			{answered("8.8.8.3"), noneOfIt, "8.8.8.3", ""},
			{answered("8.8.8.4"), noneOfIt, "8.8.8.4", ""},
			{answered("8.8.8.5"), noneOfIt, "8.8.8.5", ""},
			{answered("8.8.8.6"), noneOfIt, "8.8.8.6", "A: each answer has other addresses: a name that is spread over many machines is no member"},
			{broken, noneOfIt, "8.8.8.6", "A: " + asked + kept + "(8.8.8.6)"},
			{answered("8.8.8.7"), noneOfIt, "8.8.8.7", "A: each answer has other addresses: a name that is spread over many machines is no member"},
			{answered("8.8.8.7"), noneOfIt, "8.8.8.7", ""},
			{answered("8.8.8.8"), noneOfIt, "8.8.8.8", ""},
		},
		"no server's addresses": {
			{answered("8.8.8.1 10.0.0.1"), answered("fe80::1"), "8.8.8.1", "A: 10.0.0.1 (a private address) is left out; AAAA: fe80::1 (a link-local address) is left out, and there is no other"},
			{answered("127.0.0.1"), noneOfIt, "8.8.8.1", "A: 127.0.0.1 (a loopback address) is left out, and there is no other: a name may lead to such where each pool that has it has another member with such an address of its own" + kept + "(8.8.8.1)"},
			{answered("0.0.0.0 224.0.0.1"), answered("::ffff:8.8.8.8"), "8.8.8.1", `A: 224.0.0.1 (a multicast address) is left out, and there is no other` + kept + "(8.8.8.1); AAAA: ::ffff:8.8.8.8 (an IPv4 address in the form of an IPv6 one) is left out, and there is no other"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			state := State{Name: pool.HostName{Name: "m.example"}}
			now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
			for i, line := range lines {
				state = state.after(line.v4, line.v6, now)
				if got := words(state.Addresses()); got != line.known {
					t.Errorf("look-up %d: %s, want %s", i, got, line.known)
				}
				if got := state.Problem(); got != line.problem {
					t.Errorf("look-up %d: problem %q, want %q", i, got, line.problem)
				}
				now = now.Add(time.Minute)
			}
		})
	}
}

func words(list []netip.Addr) string {
	var texts []string
	for _, address := range list {
		texts = append(texts, address.String())
	}
	return strings.Join(texts, " ")
}

func TestStateInside(t *testing.T) {
	state := State{Name: pool.HostName{Name: "m.example", Inside: true}}.
		after(answered("127.0.0.2 10.0.0.1 169.254.1.1 8.8.8.8 255.255.255.255"), answered("::1 fd00::1 fe80::1 ff02::1 ::"), time.Now())
	if got, want := words(state.Addresses()), "8.8.8.8 10.0.0.1 127.0.0.2 ::1 fd00::1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestStateBounded(t *testing.T) {
	var many finding
	for i := range 40 {
		many.addresses = append(many.addresses, netip.AddrFrom4([4]byte{8, 8, 8, byte(40 - i)}))
	}
	state := State{}.after(many, noneOfIt, time.Now())
	if len(state.IPv4.Addresses) != MaxAddresses || state.IPv4.Addresses[0] != netip.MustParseAddr("8.8.8.1") {
		t.Errorf("%v", state.IPv4.Addresses)
	}
	if want := fmt.Sprintf("A: of 40 addresses the first %d are used", MaxAddresses); state.Problem() != want || state.Failing() {
		t.Errorf("problem %q, failing %v, want %q", state.Problem(), state.Failing(), want)
	}
}

func TestSince(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 23, 12, minute, 0, 0, time.UTC) }
	state := State{}.after(answered("8.8.8.1"), answered("2606:4700::1"), at(0))
	if !state.FailingSince().IsZero() || state.Said() != at(0) {
		t.Errorf("%+v", state)
	}
	state = state.after(answered("8.8.8.1"), broken, at(1))
	state = state.after(broken, broken, at(2))
	state = state.after(broken, broken, at(3))
	if state.FailingSince() != at(1) || state.IPv4.Failing != at(2) || state.Said() != at(1) {
		t.Errorf("failing since %v, IPv4 since %v, said %v", state.FailingSince(), state.IPv4.Failing, state.Said())
	}
}

func TestPause(t *testing.T) {
	ttl := func(d time.Duration) finding { return finding{addresses: addresses("8.8.8.1"), ttl: d} }
	well := State{}.after(ttl(0), noneOfIt, time.Now())
	for _, test := range []struct {
		v4, v6 finding
		want   time.Duration
	}{
		{ttl(0), finding{empty: true, ttl: time.Hour}, LeastTTL},
		{ttl(5 * time.Minute), finding{empty: true, ttl: 2 * time.Minute}, 2 * time.Minute},
		{ttl(48 * time.Hour), finding{addresses: addresses("2606:4700::1"), ttl: 48 * time.Hour}, MostTTL},
	} {
		if got := well.pause(test.v4, test.v6, 0); got != test.want {
			t.Errorf("%v and %v: %v, want %v", test.v4.ttl, test.v6.ttl, got, test.want)
		}
	}
	failing := State{}.after(broken, broken, time.Now())
	for failures, want := range []time.Duration{LeastTTL, time.Minute, 2 * time.Minute, 4 * time.Minute, mostRetry, mostRetry} {
		if got := failing.pause(broken, broken, failures); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
	if got := failing.pause(broken, broken, 1<<20); got != mostRetry {
		t.Errorf("after many failures: %v", got)
	}
}

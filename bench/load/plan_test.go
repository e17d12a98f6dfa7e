package load

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func goodPlan(t testing.TB, server string) Plan {
	t.Helper()
	return Plan{
		Server: netip.MustParseAddrPort(server), Questions: []Question{mustQuestion(t, "dl.example.test", TypeA, Form{})},
		Sockets: 2, Window: 8, Duration: 50 * time.Millisecond, GiveUp: 20 * time.Second,
	}
}

func TestServersElsewhereAreRefused(t *testing.T) {
	for server, want := range map[string]bool{
		"127.0.0.1:53": true, "127.255.255.254:53": true, "[::1]:53": true,
		"127.0.0.1:0": false, "128.0.0.1:53": false, "10.0.0.1:53": false, "0.0.0.0:53": false,
		"[::]:53": false, "[::2]:53": false, "[::ffff:127.0.0.1]:53": false, "[fe80::1%lo]:53": false,
	} {
		plan := goodPlan(t, server)
		if err := plan.Validate(); (err == nil) != want {
			t.Errorf("%s: %v", server, err)
		}
	}
	var plan Plan
	if err := plan.Validate(); err == nil {
		t.Error("a plan without a server is taken")
	}
}

func TestPlansAreValidated(t *testing.T) {
	for _, c := range []struct {
		change func(*Plan)
		want   string
	}{
		{func(p *Plan) { p.Questions = nil }, "no questions"},
		{func(p *Plan) { p.Questions[0].Packet = p.Questions[0].Packet[:14] }, "no whole name"},
		{func(p *Plan) { p.Questions[0].Packet = append(p.Questions[0].Packet, make([]byte, 512)...) }, "bytes"},
		{func(p *Plan) { p.Questions[0].Varying = "colour" }, "cannot vary"},
		{func(p *Plan) { p.Questions[0].Varying = VaryLabel }, "begins at 0"},
		{func(p *Plan) { p.Questions[0].Varying, p.Questions[0].At = VarySubnet4, 30 }, "begins at 30"},
		{func(p *Plan) { p.Sockets = 0 }, "sockets"},
		{func(p *Plan) { p.Sockets = 65 }, "sockets"},
		{func(p *Plan) { p.Window = 1 }, "window"},
		{func(p *Plan) { p.Window = 100_000 }, "window"},
		{func(p *Plan) { p.PerConnection = 3 }, "a connection"},
		{func(p *Plan) { p.Rate = -1 }, "rate"},
		{func(p *Plan) { p.Rate, p.TCP = 1, true }, "rate"},
		{func(p *Plan) { p.Duration = 0 }, "duration"},
		{func(p *Plan) { p.GiveUp = 0 }, "giving up"},
	} {
		plan := goodPlan(t, "127.0.0.1:53")
		c.change(&plan)
		if err := plan.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("the error is %v, expected one with %q", err, c.want)
		}
	}
}

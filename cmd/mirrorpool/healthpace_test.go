package main

import (
	"strings"
	"testing"
)

func TestHealthPace(t *testing.T) {
	for _, test := range []struct{ text, mistake string }{
		{"health: {rate: 333.5}", ""},
		{"health: {rate: 0.02, control: []}", ""},
		{`health: {control: ["127.0.0.1:53", "[::1]:53", "127.0.0.1:54"]}`, ""},
		{"health: {rate: 0}", `node.yaml:2:16: health.rate: found "0", expected probes a second`},
		{"health: {rate: -1}", `health.rate: found "-1"`},
		{"health: {rate: .nan}", `health.rate: found "NaN"`},
		{"health: {rate: 1e9}", "health.rate: found"},
		{"health: {control: [127.0.0.1]}", `node.yaml:2:20: health.control[0]: found "127.0.0.1", expected the address and port of a server`},
		{`health: {control: ["127.0.0.1:0"]}`, "health.control[0]: found"},
		{`health: {control: ["0.0.0.0:53"]}`, "health.control[0]: found"},
		{`health: {control: ["localhost:53"]}`, "health.control[0]: found"},
		{`health: {control: ["[::ffff:127.0.0.1]:53"]}`, "health.control[0]: found"},
		{`health: {control: ["[::1]:53", "[0::1]:53"]}`, `health.control[1]: found "[0::1]:53", expected each address once`},
	} {
		got, err := parseConfig("node.yaml", []byte("git: {url: /srv/mirrors.git}\n"+test.text+"\n"))
		switch {
		case test.mistake == "" && err != nil:
			t.Errorf("%s: %v", test.text, err)
		case test.mistake != "" && (err == nil || !strings.Contains(err.Error(), test.mistake)):
			t.Errorf("%s: got %v, want %q", test.text, err, test.mistake)
		case test.mistake == "" && len(got.Health.control()) != len(got.Health.Control):
			t.Errorf("%s: control addresses are %v", test.text, got.Health.control())
		}
	}
}

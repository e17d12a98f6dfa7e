//go:build e2e

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// say runs a program that may say no, and gives what it printed.
func (w *world) say(name string, arguments ...string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput()
	if ctx.Err() != nil {
		w.Fatalf("%s %s did not end: %v\n%s", name, strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

// toolQuestions are those of our own zones, each with what delv says of it.
var toolQuestions = []struct{ name, kind, delv string }{
	{"", "SOA", "; fully validated"},
	{"", "MX", "; fully validated"},
	{"", "AAAA", "; negative response, fully validated"},
	{"dl", "A", "; fully validated"},
	{"dl", "TXT", "; negative response, fully validated"},
	{"25.dl", "A", "; fully validated"},
	{"26.dl", "TXT", "; fully validated"},
	{"any.wild", "A", "; fully validated"},
	{"any.wild", "AAAA", "; negative response, fully validated"},
	{"any.moved", "A", "; fully validated"},
	{"nothing", "A", "; negative response, fully validated"},
	{"b.c", "A", "; negative response, fully validated"},
	{"signed", "DS", "; fully validated"},
	{"unsigned", "DS", "; negative response, fully validated"},
	{"www.signed", "A", "; fully validated"},
	{"www.signed", "AAAA", "; negative response, fully validated"},
	{"dl.signed", "AAAA", "; fully validated"},
}

// wrong gives the digest of a key that nobody has.
func wrong(anchor *dns.DS) *dns.DS {
	other := *anchor
	last := "0"
	if strings.HasSuffix(other.Digest, last) {
		last = "1"
	}
	other.Digest = other.Digest[:len(other.Digest)-1] + last
	return &other
}

// judged runs a tool for each question: with the zone's own anchor it is to say
// what it says of what is proven, and with a wrong one it must not.
func (l *signedLab) judged(tool string, proven func(anchor *dns.DS, name, kind, delv string) (said string, believed bool)) {
	need(l.T, tool)
	for _, q := range toolQuestions {
		if said, believed := proven(l.anchor, fullName(q.name), q.kind, q.delv); !believed {
			l.Errorf("%s does not believe %s %s:\n%s", tool, fullName(q.name), q.kind, said)
		}
		if said, believed := proven(wrong(l.anchor), fullName(q.name), q.kind, q.delv); believed {
			l.Errorf("%s believes %s %s from a wrong anchor:\n%s", tool, fullName(q.name), q.kind, said)
		}
	}
}

// delv is BIND's validator.
func (l *signedLab) delv() {
	l.judged("delv", func(anchor *dns.DS, name, kind, want string) (string, bool) {
		file := l.write("anchors", fmt.Sprintf("trust-anchors { mirrors.test. static-ds %s; };\n", digestText(anchor, `"`)))
		said := l.say("delv", "@127.0.0.1", "-p", fmt.Sprint(l.dnsPort), "-a", file, "+root=mirrors.test", name, kind)
		return said, strings.Contains(said, want) && !strings.Contains(said, "unsigned answer")
	})
}

// drill is that of ldns.
func (l *signedLab) drill() {
	l.judged("drill", func(anchor *dns.DS, name, kind, _ string) (string, bool) {
		if name == fullName("any.moved") {
			return "", anchor == l.anchor // it follows no DNAME
		}
		file := l.write("anchor.ds", anchor.String()+"\n")
		said := l.say("drill", "-p", fmt.Sprint(l.dnsPort), "-S", "-k", file, name, kind, "@127.0.0.1")
		return said, strings.Contains(said, ";; Chase successful")
	})
}

// unboundHost is unbound without a daemon.
func (l *signedLab) unboundHost() {
	l.judged("unbound-host", func(anchor *dns.DS, name, kind, _ string) (string, bool) {
		config := l.write("unbound-host.conf", fmt.Sprintf(`
server:
  do-not-query-localhost: no
  module-config: "validator iterator"
  local-zone: "test." nodefault
  trust-anchor: "mirrors.test. DS %s"
  root-hints: "%s/root.hints"
stub-zone:
  name: "mirrors.test"
  stub-addr: 127.0.0.1@%d
`, digestText(anchor, ""), l.directory, l.dnsPort))
		said := l.say("unbound-host", "-C", config, "-v", "-t", kind, name)
		return said, strings.Contains(said, "(secure)") && !strings.Contains(said, "BOGUS") && !strings.Contains(said, "(insecure)")
	})
}

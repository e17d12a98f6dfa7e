package main

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestCatalogIsNotTakenOver: a zone of the repository that has the catalog's name is
// answered for, and secondaries do not get it: they would delete the zones that they
// have, and take what it lists.
func TestCatalogIsNotTakenOver(t *testing.T) {
	r := newRunning(t, transferKeys)
	first := r.git(r.path("checkout"), "rev-parse", "HEAD")
	r.start()
	r.serving(first)
	if text := versionLines(r.whole("catalog.example.")); !strings.Contains(text, "PTR\texample.test.") {
		t.Fatalf("the catalog is\n%s", text)
	}
	r.write("checkout/zones/catalog.example.zone", "@ 0 SOA invalid. invalid. 1 60 60 6000 60\n@ 0 NS invalid.\nversion 0 TXT \"2\"\n")
	r.serving(r.push("A zone of the catalog's name"))
	for _, kind := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
		question := new(dns.Msg)
		question.SetQuestion("catalog.example.", kind)
		if kind == dns.TypeIXFR {
			question.SetIxfr("catalog.example.", 1, "invalid.", "invalid.")
		}
		client := dns.Client{Net: "tcp"}
		reply, _, err := client.Exchange(question, r.dnsAddress())
		if err != nil {
			t.Fatal(err)
		}
		if reply.Rcode != dns.RcodeRefused || len(reply.Answer) > 0 {
			t.Errorf("%s gives %v", dns.Type(kind), reply)
		}
	}
	for _, secondary := range r.node.notifier.States() {
		for _, zone := range secondary.Zones {
			if zone.Apex == "catalog.example." {
				t.Errorf("told of: %+v", zone)
			}
		}
	}
	if stage := r.stage(stageCatalog); !strings.Contains(stage.Error, "zones/catalog.example.zone") {
		t.Errorf("the stage says %+v", stage)
	}
	if _, err := wholeZone("example.test.", r.dnsAddress()); err != nil {
		t.Errorf("another zone: %v", err)
	}
	// Without it the catalog is there again, with a serial that is newer.
	r.git(r.path("checkout"), "rm", "--quiet", "zones/catalog.example.zone")
	r.serving(r.push("Without it"))
	if text := versionLines(r.whole("catalog.example.")); !strings.Contains(text, "PTR\texample.test.") {
		t.Errorf("the catalog is\n%s", text)
	}
}

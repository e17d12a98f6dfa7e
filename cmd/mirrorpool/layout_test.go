package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the direction in which imports point: each package of this
// module with the packages of this module that it may import.
var mayImport = map[string][]string{
	"mirrorpool/gitsource":             {},
	"mirrorpool/pool":                  {},
	"mirrorpool/pool/administrative":   {},
	"mirrorpool/pool/health":           {"mirrorpool/pool"},
	"mirrorpool/pool/hostnames":        {"mirrorpool/pool"},
	"mirrorpool/pool/health/history":   {"mirrorpool/pool", "mirrorpool/pool/administrative", "mirrorpool/pool/health"},
	"mirrorpool/pool/geo":              {"mirrorpool/pool"},
	"mirrorpool/pool/geo/geodata":      {"mirrorpool/pool/geo"},
	"mirrorpool/pool/selection":        {"mirrorpool/pool", "mirrorpool/pool/geo", "mirrorpool/pool/health"},
	"mirrorpool/zones":                 {"mirrorpool/pool", "mirrorpool/pool/geo", "mirrorpool/pool/health", "mirrorpool/pool/selection", "mirrorpool/pool/administrative", "mirrorpool/zones/signing"},
	"mirrorpool/zones/signing":         {},
	"mirrorpool/zones/rollover":        {"mirrorpool/zones/signing"},
	"mirrorpool/zones/rollover/parent": {"mirrorpool/zones/signing"},
	"mirrorpool/zones/journal":         {"mirrorpool/zones"},
	"mirrorpool/publish":               append([]string{"mirrorpool/dnsserver/tsig"}, belowListeners...),
	"mirrorpool/dnsserver":             append([]string{"mirrorpool/dnsserver/tsig"}, belowListeners...),
	"mirrorpool/dnsserver/tsig":        {},
	"mirrorpool/dnsserver/notify":      {"mirrorpool/dnsserver/tsig"},
	"mirrorpool/redirect":              belowListeners,
	"mirrorpool/admin":                 append([]string{"mirrorpool/pool/health/history"}, belowListeners...),
	"mirrorpool/admin/alert":           {"mirrorpool/pool"},
	"mirrorpool/bench":                 {"mirrorpool/bench/crowd", "mirrorpool/bench/load", "mirrorpool/bench/packets"}, // measures the built program from outside
	"mirrorpool/bench/crowd":           {},
	"mirrorpool/bench/load":            {},
	"mirrorpool/bench/packets":         {},
	"mirrorpool/bench/peers":           {},
	"mirrorpool/bench/peers/geodb":     {},
	"mirrorpool/testdraw":              {}, // for tests alone
	"mirrorpool/testport":              {}, // likewise
	"mirrorpool/cmd/mirrorpool": append([]string{
		"mirrorpool/pool/health/history", "mirrorpool/gitsource", "mirrorpool/dnsserver", "mirrorpool/dnsserver/tsig", "mirrorpool/dnsserver/notify", "mirrorpool/redirect", "mirrorpool/admin", "mirrorpool/admin/alert", "mirrorpool/zones/signing", "mirrorpool/zones/rollover", "mirrorpool/zones/rollover/parent", "mirrorpool/zones/journal", "mirrorpool/publish", "mirrorpool/pool/hostnames",
	}, belowListeners...),
}

var belowListeners = []string{
	"mirrorpool/zones", "mirrorpool/pool", "mirrorpool/pool/geo", "mirrorpool/pool/health", "mirrorpool/pool/selection", "mirrorpool/pool/administrative",
}

// importer is a package as `go list -json` tells of it.
type importer struct {
	ImportPath string
	Imports    []string
}

// wrongImports names each import that points another way.
func wrongImports(packages []importer) []string {
	var wrong []string
	for _, one := range packages {
		allowed, known := mayImport[one.ImportPath]
		if !known {
			wrong = append(wrong, one.ImportPath+" has no place in the layout")
			continue
		}
		for _, imported := range one.Imports {
			if strings.HasPrefix(imported, "mirrorpool/") && !slices.Contains(allowed, imported) {
				wrong = append(wrong, one.ImportPath+" imports "+imported)
			}
		}
	}
	return wrong
}

func TestImportsPointOneWay(t *testing.T) {
	command := exec.Command("go", "list", "-json=ImportPath,Imports", "mirrorpool/...")
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []importer
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var one importer
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, one)
	}
	if len(packages) < len(mayImport) {
		t.Fatalf("only %d packages listed, the layout has %d", len(packages), len(mayImport))
	}
	for _, wrong := range wrongImports(packages) {
		t.Error(wrong)
	}
}

func TestWrongImportsAreFound(t *testing.T) {
	got := wrongImports([]importer{
		{ImportPath: "mirrorpool/pool", Imports: []string{"fmt", "mirrorpool/zones"}},
		{ImportPath: "mirrorpool/util", Imports: []string{"fmt"}},
		{ImportPath: "mirrorpool/zones", Imports: []string{"mirrorpool/pool"}},
	})
	want := []string{"mirrorpool/pool imports mirrorpool/zones", "mirrorpool/util has no place in the layout"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const head = "# Generated: Fri, 26 Jun 2026 04:33:59 GMT\n# License:   CC BY-SA 4.0\n"

func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("geoip", head+"16777216,16777471,AU\n16777472,16778239,CN\n")
	write("geoip6", head+"2001:200::,2001:200:134:ffff:ffff:ffff:ffff:ffff,JP\n")
	var report bytes.Buffer
	if err := generate(path("geoip"), path("geoip6"), path("country.bin"), &report); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path("country.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(report.String(), "3 ranges of 2026-06-26, CC BY-SA 4.0") {
		t.Errorf("the report is %q", &report)
	}
	if err := generate(path("geoip"), path("geoip6"), path("country.bin"), &report); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(path("country.bin")); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the second run made another file (%v)", err)
	}

	// What goes wrong leaves the file as it is, and nothing beside it.
	write("broken", "x\n")
	for _, files := range [][2]string{{"broken", "geoip6"}, {"geoip", "none"}, {"none", "geoip6"}, {"geoip6", "geoip"}} {
		if err := generate(path(files[0]), path(files[1]), path("country.bin"), &report); err == nil {
			t.Errorf("%v: no error", files)
		}
	}
	if third, err := os.ReadFile(path("country.bin")); err != nil || !bytes.Equal(first, third) {
		t.Errorf("the file was touched (%v)", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 4 {
		t.Errorf("%v (%v)", entries, err)
	}
}

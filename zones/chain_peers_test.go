package zones

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// tool gives the path of a program of a Debian package.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	for _, place := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(place); err == nil {
			return path
		}
	}
	message := fmt.Sprintf("%s of Debian's package %s is not here", name, debian)
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// run runs a program in a directory.
func run(t *testing.T, directory, program string, args ...string) string {
	t.Helper()
	command := exec.Command(program, args...)
	command.Dir = directory
	var errors bytes.Buffer
	command.Stderr = &errors
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, errors.String())
	}
	return strings.TrimSpace(string(out))
}

// chainOfFile reads the NSEC records of a signed zone file, in canonical order.
func chainOfFile(t *testing.T, path, apex string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []*dns.NSEC
	parser := dns.NewZoneParser(bytes.NewReader(data), apex, path)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if nsec, ok := rr.(*dns.NSEC); ok {
			nsec.Hdr.Name, nsec.NextDomain = canonical(nsec.Hdr.Name), canonical(nsec.NextDomain)
			found = append(found, nsec)
		}
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(found, func(a, b *dns.NSEC) int { return canonicalOrder(a.Hdr.Name, b.Hdr.Name) })
	var out strings.Builder
	for _, nsec := range found {
		fmt.Fprintf(&out, "%s %s", nsec.Hdr.Name, nsec.NextDomain)
		for _, kind := range nsec.TypeBitMap {
			out.WriteString(" " + dns.Type(kind).String())
		}
		out.WriteString("\n")
	}
	return out.String()
}

// unsignedFile writes a zone file for signers: as in the repository, with the
// addresses of pools as records. It has a TTL and an origin first.
func unsignedFile(t *testing.T, directory string, definition *pool.Definition, zone *Zone) string {
	t.Helper()
	text := "$ORIGIN " + zone.Apex + "\n$TTL 60\n"
	for _, file := range definition.Zones {
		if file.Path == zone.File {
			text += string(file.Data)
		}
	}
	for _, name := range zone.pools {
		text += name + " 60 IN A 127.0.0.1\n" + name + " 60 IN AAAA ::1\n"
	}
	path := filepath.Join(directory, "zone")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestChainPeers holds the chains against those that BIND and ldns make of the
// same zones: names, next names and bitmaps are equal. What is different by design
// is not in the zones here: a wildcard's NS and DNAME records and what a
// delegation or a DNAME hides is left out by Parse, with a warning.
func TestChainPeers(t *testing.T) {
	signers := map[string]func(t *testing.T, directory, apex, file string) string{
		"bind": func(t *testing.T, directory, apex, file string) string {
			key := run(t, directory, tool(t, "dnssec-keygen", "bind9-utils"), "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", apex)
			run(t, directory, tool(t, "dnssec-signzone", "bind9-utils"), "-q", "-S", "-P", "-z", "-o", apex, "-f", "signed", file, key)
			return filepath.Join(directory, "signed")
		},
		"ldns": func(t *testing.T, directory, apex, file string) string {
			signer := tool(t, "ldns-signzone", "ldnsutils")
			key := run(t, directory, tool(t, "ldns-keygen", "ldnsutils"), "-a", "ECDSAP256SHA256", "-k", apex)
			run(t, directory, signer, "-o", apex, "-f", "signed", file, key)
			return filepath.Join(directory, "signed")
		},
	}
	for signer, sign := range signers {
		t.Run(signer, func(t *testing.T) {
			for _, a := range readArchives(t, "chains-*.txtar") {
				in := a.input(t)
				for _, zone := range in.Static.sorted {
					t.Run(zone.Apex, func(t *testing.T) {
						directory := t.TempDir()
						file := unsignedFile(t, directory, in.Definition, zone)
						want := chainOfFile(t, sign(t, directory, zone.Apex, file), zone.Apex)
						found := chainText(newChain(zone), []uint16{dns.TypeDNSKEY}, []uint16{dns.TypeA, dns.TypeAAAA})
						if diff := cmp.Diff(want, found); diff != "" {
							t.Errorf("the chain differs from what %s makes (-%[1]s +ours):\n%s", signer, diff)
						}
					})
				}
			}
		})
	}
}

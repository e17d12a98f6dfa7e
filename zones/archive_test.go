package zones

import (
	"bufio"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
)

// An archive in testdata is a repository with what is asked of it. Beside the
// repository's files it may hold
//
//	settings   "self ADDRESS", "now SECONDS", "serial APEX NUMBER"
//	health     "ADDRESS|URL-PREFIX up|down [ADDRESS]": all others are up;
//	           "* unknown" first: all others are not probed yet
//	geo        "PREFIX COUNTRY [ASN]"
//	questions  "NAME TYPE [CLIENT]"
//	answers    what the table says, written by -update
//	problems   what Parse says, written by -update
var update = flag.Bool("update", false, "write what the tests find into the archives in testdata")

var testNow = time.Unix(1_700_000_000, 0)

type archive struct {
	t     *testing.T
	path  string
	files *txtar.Archive
}

func readArchives(t *testing.T, pattern string) []*archive {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives %s: %v", pattern, err)
	}
	var out []*archive
	for _, path := range paths {
		files, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &archive{t, path, files})
	}
	return out
}

func (a *archive) section(name string) string {
	for _, file := range a.files.Files {
		if file.Name == name {
			return string(file.Data)
		}
	}
	return ""
}

// compare holds a section against what was found, or writes it.
func (a *archive) compare(t *testing.T, name, found string) {
	t.Helper()
	if !*update {
		if diff := cmp.Diff(a.section(name), found); diff != "" {
			t.Errorf("%s: section %s (-expected +found; -update writes it):\n%s", a.path, name, diff)
		}
		return
	}
	a.files.Files = slices.DeleteFunc(a.files.Files, func(f txtar.File) bool { return f.Name == name })
	a.files.Files = append(a.files.Files, txtar.File{Name: name, Data: []byte(found)})
	if err := os.WriteFile(a.path, txtar.Format(a.files), 0o644); err != nil {
		t.Fatal(err)
	}
}

// repository gives the files that belong to the repository.
func (a *archive) repository() fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, file := range a.files.Files {
		if strings.HasSuffix(file.Name, ".json") || strings.HasPrefix(file.Name, "zones/") {
			fsys[file.Name] = &fstest.MapFile{Data: file.Data}
		}
	}
	return fsys
}

// lines gives the fields of a section's lines, without comments.
func (a *archive) lines(name string) [][]string {
	var out [][]string
	scanner := bufio.NewScanner(strings.NewReader(a.section(name)))
	for scanner.Scan() {
		line, _, _ := strings.Cut(scanner.Text(), ";")
		if fields := strings.Fields(line); len(fields) > 0 {
			out = append(out, fields)
		}
	}
	return out
}

// input reads everything that Compile needs.
func (a *archive) input(t *testing.T) Input {
	t.Helper()
	definition, problems := pool.Parse(a.repository())
	for _, p := range problems {
		if p.Severity == pool.Error {
			t.Errorf("%s: %v", a.path, p)
		}
	}
	if definition == nil {
		t.FailNow()
	}
	static, problems := Parse(definition)
	for _, p := range problems {
		if p.Severity == pool.Error {
			t.Errorf("%s: %v", a.path, p)
		}
	}
	if static == nil {
		t.FailNow()
	}
	in := Input{Definition: definition, Static: static, Now: testNow, Serials: map[string]Serial{}}
	for _, fields := range a.lines("settings") {
		switch fields[0] {
		case "self":
			in.SelfAddresses = append(in.SelfAddresses, netip.MustParseAddr(fields[1]))
		default:
			t.Fatalf("%s: unknown setting %q", a.path, fields)
		}
	}
	in.Health = a.health(definition)
	networks := map[netip.Prefix]geo.Place{}
	for _, fields := range a.lines("geo") {
		place := geo.Place{Country: fields[1]}
		if len(fields) > 2 {
			if _, err := fmt.Sscan(fields[2], &place.ASN); err != nil {
				t.Fatal(err)
			}
		}
		networks[netip.MustParsePrefix(fields[0])] = place
	}
	in.Geo = geo.NewMap(networks)
	return in
}

func (a *archive) health(definition *pool.Definition) *health.Report {
	verdicts := map[string][]string{}
	for _, fields := range a.lines("health") {
		verdicts[fields[0]] = fields[1:]
	}
	states := map[health.Target]health.State{}
	set := func(target health.Target, key string) {
		state := health.State{Verdict: health.Up, Reason: "status 200", Address: target.Address}
		fields, found := verdicts[key]
		if !found {
			fields = verdicts["*"]
		}
		if len(fields) > 0 {
			switch fields[0] {
			case "up":
			case "down":
				state.Verdict, state.Reason = health.Down, "status 503, expected 200"
			default:
				return
			}
			if len(fields) > 1 {
				state.Address = netip.MustParseAddr(fields[1])
			}
		}
		states[target] = state
	}
	for _, one := range definition.Pools {
		for _, member := range one.Members {
			for _, address := range member.Addresses {
				set(health.MemberTarget(one, address), address.String())
			}
		}
	}
	for _, redirect := range definition.Redirects {
		for _, mirror := range redirect.List.Mirrors {
			set(health.MirrorTarget(redirect, mirror), mirror.URLPrefix)
		}
	}
	return health.NewReport(states)
}

// table compiles the archive.
func (a *archive) table(t *testing.T) *Table {
	t.Helper()
	table, err := Compile(a.input(t))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// single gives the one archive of a name.
func single(t *testing.T, name string) *archive {
	t.Helper()
	return readArchives(t, name)[0]
}

// testTable compiles one archive.
func testTable(t *testing.T, name string) *Table {
	t.Helper()
	return single(t, name).table(t)
}

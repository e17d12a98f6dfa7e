package pool

import (
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the tests find into the golden files")

// readArchive gives the files of a txtar archive but for the one called apart.
func readArchive(t testing.TB, path, apart string) (files fstest.MapFS, archive *txtar.Archive, text string) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files = fstest.MapFS{}
	for _, file := range archive.Files {
		if file.Name == apart {
			text = string(file.Data)
			continue
		}
		files[file.Name] = &fstest.MapFile{Data: file.Data}
	}
	return files, archive, text
}

func format(problems []Problem) string {
	var b strings.Builder
	for _, problem := range problems {
		b.WriteString(problem.String() + "\n")
	}
	return b.String()
}

func addresses(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func TestParseSample(t *testing.T) {
	files, _, _ := readArchive(t, "testdata/sample.txtar", "")
	got, problems := Parse(files)
	for _, problem := range problems {
		if problem.Severity == Error {
			t.Errorf("%s", problem)
		}
	}
	if got == nil {
		t.Fatal("no definition")
	}
	north := &Mirror{
		URLPrefix: "https://mirror.north.example/dist/", RsyncURL: "rsync://mirror.north.example/dist/",
		Weight: 10, Email: "noc@north.example", Notes: "Oslo; 10 Gbit/s", Position: Position{"mirrors.json", 5, 5},
	}
	list := &MirrorList{Path: "mirrors.json", Data: files["mirrors.json"].Data, Mirrors: []*Mirror{
		north,
		{URLPrefix: "https://mirror.south.example:8443/dist/", Weight: 20, Position: Position{"mirrors.json", 12, 5}},
		{URLPrefix: "http://[2001:db8::7]/%7Edist/", Weight: 10, Position: Position{"mirrors.json", 13, 5}},
		{URLPrefix: "http://old.example/", Position: Position{"mirrors.json", 14, 5}},
	}}
	onion := &MirrorList{Path: "lists/onion.json", Data: files["lists/onion.json"].Data, Mirrors: []*Mirror{
		{URLPrefix: "http://aaaa.onion/", Weight: 1, Position: Position{"lists/onion.json", 2, 3}},
	}}
	none := Schedule{Interval: 30 * time.Second, DownAfter: 3, UpAfter: 5}
	everybody := Policy{Nearness: None, MinCandidates: 3, MaxShare: 1}
	single := func(line int) []*Member {
		return []*Member{{ID: "a", Addresses: addresses("192.0.2.11"), Weight: 1, Position: Position{"pools.json", line, 19}}}
	}
	want := &Definition{
		Pools: []*Pool{
			{
				Name: "dl.example.org", NamePosition: Position{"pools.json", 6, 15}, TTL: 120, Answers: 2,
				Policy: Policy{Nearness: Distance, MinCandidates: 2, MaxShare: 0.5},
				Health: Check{
					Probe: Probe{
						Kind: CheckHTTPS, Port: 8443, Host: "trace.example.org", Path: "/project/trace?x=%20", Statuses: "204",
						Body: "^[0-9]+$", FollowRedirects: true, MaxAge: 26 * time.Hour, Timeout: 2500 * time.Millisecond,
					},
					Schedule: Schedule{Interval: 90 * time.Second, DownAfter: 2, UpAfter: 4}, CertificateWarning: DefaultCertificateWarning,
				},
				WhenAllDown: AnswerSelf,
				Members: []*Member{
					{
						ID: "north", Mirror: "mirror.north.example", Addresses: addresses("192.0.2.10", "2001:db8::10"), Weight: 10000,
						Location: &Location{Country: "NO", Continent: "EU", ASN: 64500, HasCoordinates: true, Latitude: 59.9, Longitude: 10.75},
						Exclude:  &Rules{Countries: []string{"CN", "RU"}, ASNs: []uint32{64501}},
						Notes:    "north ☃ 😀", Position: Position{"pools.json", 26, 9},
					},
					{
						ID: "south.2_b-c", Addresses: addresses("198.51.100.7"),
						Only: &Rules{Continents: []string{"SA"}, Networks: []netip.Prefix{
							netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("0.0.0.0/0"),
						}},
						Position: Position{"pools.json", 35, 9},
					},
					{ID: "spare", Addresses: addresses("203.0.113.9", "2001:db8::9"), Weight: 5, Reserve: true, Position: Position{"pools.json", 41, 9}},
					{ID: "west", Addresses: addresses("203.0.113.10", "2001:db8::a"), Weight: 1, Position: Position{"pools.json", 42, 9}},
				},
			},
			{
				Name: "plain.example.org", NamePosition: Position{"pools.json", 46, 15}, TTL: 60, Answers: 4, Policy: everybody,
				Health: Check{Probe: Probe{Kind: CheckNone}, Schedule: none}, WhenAllDown: AnswerAll, Members: single(48),
			},
			{
				Name: "tcp.example.org", NamePosition: Position{"pools.json", 51, 15}, TTL: 60, Answers: 4, Policy: everybody,
				Health: Check{
					Probe:    Probe{Kind: CheckTCP, Port: 873, Timeout: 2 * time.Second},
					Schedule: Schedule{Interval: 2 * time.Second, DownAfter: 3, UpAfter: 5},
				},
				WhenAllDown: AnswerAll, Members: single(53),
			},
			{
				Name: "web.example.org", NamePosition: Position{"pools.json", 56, 15}, TTL: 60, Answers: 4, Policy: everybody,
				Health: Check{
					Probe: Probe{Kind: CheckHTTP, Port: 80, Host: "web.example.org", Path: "/", Statuses: "200", Timeout: 5 * time.Second}, Schedule: none,
				},
				WhenAllDown: AnswerAll, Members: single(58),
			},
		},
		Redirects: []*Redirect{
			{
				Host: "dl.example.org", StripPrefix: "/dist/", List: onion, Policy: everybody,
				Health: Check{
					Probe: Probe{Kind: CheckHTTPS, Path: "project/trace", Statuses: "200", Timeout: 10 * time.Second}, Schedule: none,
					CertificateWarning: DefaultCertificateWarning,
				},
				WhenAllDown: AnswerEmpty, Fallbacks: []string{"https://archive.example/a/", "http://archive.example/"},
				Position: Position{"pools.json", 62, 5},
			},
			{
				Host: "get.example.org", StripPrefix: "/", List: list, Policy: everybody,
				Health: Check{Probe: Probe{Kind: CheckNone}, Schedule: none}, WhenAllDown: AnswerAll, Position: Position{"pools.json", 71, 5},
			},
		},
		MirrorLists: []*MirrorList{onion, list},
		Zones:       []ZoneFile{{Path: "zones/example.org.zone", Data: files["zones/example.org.zone"].Data}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("definition (-want +got):\n%s", diff)
	}
	if got.List("mirrors.json") != got.Redirects[1].List || got.List("x") != nil ||
		got.Pool("dl.example.org") != got.Pools[0] || got.Pool("x") != nil ||
		got.Redirect("get.example.org") != got.Redirects[1] || got.Redirect("x") != nil {
		t.Error("finding things by name gave another thing")
	}
	if got.Pools[0].TotalWeight() != 10001 || list.TotalWeight() != 40 {
		t.Errorf("total weights %d and %d, want 10001 and 40", got.Pools[0].TotalWeight(), list.TotalWeight())
	}
}

// The example of the documentation has to be a good one, whatever else changes.
func TestParseMirrorsAlone(t *testing.T) {
	for _, data := range []string{
		`[{"url_prefix": "https://a.example/", "weight": 1}]`,
		`{"mirrors": [{"url_prefix": "https://a.example/", "weight": 1}]}`,
	} {
		d, problems := Parse(fstest.MapFS{"mirrors.json": {Data: []byte(data)}})
		if d == nil || len(problems) != 0 || len(d.MirrorLists) != 1 || string(d.MirrorLists[0].Data) != data {
			t.Errorf("%s: %+v, problems %v", data, d, problems)
		}
	}
}

// Every problem, as people see it.
func TestProblems(t *testing.T) {
	paths, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			files, archive, want := readArchive(t, path, "problems")
			definition, problems := Parse(files)
			if (definition == nil) != HasErrors(problems) {
				t.Errorf("definition %v with errors %v", definition, HasErrors(problems))
			}
			got := format(problems)
			if *update {
				setFile(archive, "problems", got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func setFile(archive *txtar.Archive, name, data string) {
	for i, file := range archive.Files {
		if file.Name == name {
			archive.Files[i].Data = []byte(data)
			return
		}
	}
	archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(data)})
}

const goodMirrors = `[{"url_prefix": "https://a.example/", "weight": 1}]`

func TestFiles(t *testing.T) {
	large := make([]byte, MaxFileSize+1)
	tests := []struct {
		name  string
		files fs.FS
		want  string
	}{
		{"empty", fstest.MapFS{}, ".: error: found none of the files of a mirrors repository, expected mirrors.json, pools.json or zones/*.zone\n"},
		{"zones only", fstest.MapFS{"zones/a.zone": {}}, ""},
		{"hidden zones only", fstest.MapFS{"zones/.a.zone": {}}, ".: error: found none of the files of a mirrors repository, expected mirrors.json, pools.json or zones/*.zone\n"},
		{"large zone", fstest.MapFS{"zones/a.zone": {Data: large}}, "zones/a.zone: error: found a larger file, expected at most 16 MiB\n"},
		{"large mirrors", fstest.MapFS{"mirrors.json": {Data: large}}, "mirrors.json: error: found a larger file, expected at most 16 MiB\n"},
		{"size not told", hiddenSize{fstest.MapFS{"mirrors.json": {Data: large}}}, "mirrors.json: error: found a larger file, expected at most 16 MiB\n"},
		{"largest zone", fstest.MapFS{"zones/a.zone": {Data: large[1:]}}, ""},
		{"directory", fstest.MapFS{"mirrors.json/x": {}}, "mirrors.json: error: found a directory, expected a regular file\n"},
		{"zone directory", fstest.MapFS{"zones/a.zone/x": {}}, "zones/a.zone: error: found a directory, expected a regular file\n"},
		{"zones is a file", fstest.MapFS{"zones": {}, "mirrors.json": {Data: []byte(goodMirrors)}}, "zones: error: found a regular file, expected a directory\n"},
		{"device", fstest.MapFS{"mirrors.json": {Mode: fs.ModeDevice}}, "mirrors.json: error: found a special file, expected a regular file\n"},
		{"not readable", broken{fstest.MapFS{"mirrors.json": {}}}, "mirrors.json: error: found an error (permission denied), expected a regular file\n"},
		{"empty file", fstest.MapFS{"mirrors.json": {}}, "mirrors.json:1:1: error: found nothing but white space, expected a JSON value\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			definition, problems := Parse(test.files)
			if got := format(problems); got != test.want {
				t.Errorf("problems:\n%swant:\n%s", got, test.want)
			}
			if (definition == nil) != (test.want != "") {
				t.Errorf("definition %v", definition)
			}
		})
	}
}

// hiddenSize is a file system, the sizes of which cannot be believed.
type hiddenSize struct{ fs.FS }

type unsized struct{ fs.FileInfo }

func (unsized) Size() int64 { return 0 }

func (h hiddenSize) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(h.FS, name)
	return unsized{info}, err
}

// broken is a file system, the files of which cannot be opened.
type broken struct{ fstest.MapFS }

func (b broken) Open(name string) (fs.File, error) {
	if name == "mirrors.json" {
		return nil, &fs.PathError{Op: "open", Path: "/secret/" + name, Err: fs.ErrPermission}
	}
	return b.MapFS.Open(name)
}

// A link would make the commit depend on what lies beside it.
func TestSymbolicLinks(t *testing.T) {
	directory := t.TempDir()
	write := func(name, data string) {
		t.Helper()
		name = filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("real.json", goodMirrors)
	write("elsewhere/list.json", goodMirrors)
	write("elsewhere/a.zone", "")
	write("pools.json", `{"redirects": [{"host": "a.example", "mirrors": "lists/list.json", "health": {"check": "none"}}]}`)
	for from, to := range map[string]string{"mirrors.json": "real.json", "zones": "elsewhere", "lists": "elsewhere"} {
		if err := os.Symlink(to, filepath.Join(directory, from)); err != nil {
			t.Fatal(err)
		}
	}
	definition, problems := Parse(os.DirFS(directory))
	const want = "lists: error: found a symbolic link, expected a directory\n" +
		"mirrors.json: error: found a symbolic link, expected a regular file\n" +
		"zones: error: found a symbolic link, expected a directory\n"
	if definition != nil || format(problems) != want {
		t.Errorf("definition %v, problems:\n%swant:\n%s", definition, format(problems), want)
	}
}

// Nobody reads a million problems, and no status page shows them.
func TestProblemsAreBounded(t *testing.T) {
	mirrors := "[" + strings.Repeat(`{"x": 1},`, 5000) + `{}]`
	definition, problems := Parse(fstest.MapFS{"mirrors.json": {Data: []byte(mirrors)}})
	if definition != nil {
		t.Error("a definition in spite of errors")
	}
	if len(problems) != 2*maxProblems+2 {
		t.Fatalf("%d problems, want %d", len(problems), 2*maxProblems+2)
	}
	const want = ".: error: found 9002 more errors than are listed here, expected none"
	if got := problems[0].String(); got != want {
		t.Errorf("first problem %q, want %q", got, want)
	}
}

// A pool that repeats a name has none of its own: whoever checks more would
// report it a second time.
func TestInspectDuplicateName(t *testing.T) {
	one := `{"name": "a.example", "health": {"check": "none"}, "members": [{"id": "a", "addresses": ["8.8.8.1"], "weight": 1}]}`
	definition, problems := Inspect(fstest.MapFS{PoolsPath: {Data: []byte(`{"pools": [` + one + `,` + one + `]}`)}})
	if len(problems) != 1 || len(definition.Pools) != 2 {
		t.Fatalf("%d pools, problems:\n%s", len(definition.Pools), format(problems))
	}
	if first, second := definition.Pools[0].Name, definition.Pools[1].Name; first != "a.example" || second != "" {
		t.Errorf("names %q and %q", first, second)
	}
}

package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mirrorpool/pool"
)

func TestParseIndex(t *testing.T) {
	long := strings.Repeat("a", maxIndexPath)
	for _, test := range []struct {
		text string
		want string // files, or what is wrong
	}{
		{"10 a\n", "[{a 10}]"},
		{"a\nb", "[{a -1} {b -1}]"},
		{"# comment\r\n\r\n 10\t./a/b.img \r\n  #x\n/c\n", "[{a/b.img 10} {/c -1}]"},
		{"0 empty", "[{empty 0}]"},
		{"2024", "[{2024 -1}]"},
		{"1 a%20b+c~(d)", "[{a%20b+c~(d) 1}]"},
		{long, "[{" + long + " -1}]"},
		{"", "index names no file"},
		{"# nothing\n", "index names no file"},
		{"a\nb c\n", `index line 2: found "b", expected a size in bytes before the path`},
		{"-1 a", `index line 1: found "-1", expected a size in bytes before the path`},
		{"1 a b", `index line 1: found "1 a b", expected a size and a path, percent-encoded`},
		{"../a", `index line 1: found "../a", expected a path of at most 1000 bytes, percent-encoded`},
		{"a/%2e%2E/b", `index line 1: found "a/%2e%2E/b", expected a path of at most 1000 bytes, percent-encoded`},
		{"//evil.test/a", `index line 1: found "//evil.test/a", expected a path of at most 1000 bytes, percent-encoded`},
		{"a?b", `index line 1: found "a?b", expected a path of at most 1000 bytes, percent-encoded`},
		{"a%zz", `index line 1: found "a%zz", expected a path of at most 1000 bytes, percent-encoded`},
		{"\xff", `index line 1: found "\xff", expected a path of at most 1000 bytes, percent-encoded`},
		{"./", `index line 1: found "", expected a path of at most 1000 bytes, percent-encoded`},
		{long + "a", "index line 1: found *, expected a path of at most 1000 bytes, percent-encoded"},
		{"<html>", `index line 1: found "<html>", expected a path of at most 1000 bytes, percent-encoded`},
		{strings.Repeat("a\n", maxIndexFiles+1), "index line 1001: it has more than 1000 files"},
	} {
		files, err := parseIndex([]byte(test.text))
		got := fmt.Sprint(files)
		if err != nil {
			got = err.Error()
		}
		before, after, any := strings.Cut(test.want, "*")
		if got != test.want && !(any && strings.HasPrefix(got, before) && strings.HasSuffix(got, after)) {
			t.Errorf("%.50q: %s\nwant %s", test.text, got, test.want)
		}
	}
}

// FuzzIndex holds that every path of an index can be asked for, at the host that it is
// asked of and below where its files begin.
func FuzzIndex(f *testing.F) {
	for _, seed := range []string{"10 a\n", "./a/b\n# c\n", "a%2f..%2fb", "//x/y", "1 ../a", "\xef\xbb\xbfa", "a\x00b", "99999999999999999999 a", "a;b=c/,d"} {
		f.Add([]byte(seed))
	}
	base := newAttempt(&checker{}, Target{URL: "http://127.0.0.1:8080/tails/"})
	q, err := base.question()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		files, err := parseIndex(text)
		if err != nil {
			if len(err.Error()) > 700 || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Fatalf("%q", err)
			}
			return
		}
		if len(files) == 0 || len(files) > maxIndexFiles {
			t.Fatalf("%d files", len(files))
		}
		for _, file := range files {
			asked, err := base.file(q, file.Path)
			if err != nil {
				t.Fatal(err)
			}
			if u := asked.url; u.Host != "127.0.0.1:8080" || !strings.HasPrefix(u.RequestURI(), "/tails/") || strings.Contains(u.Path+"/", "/../") || u.RawQuery != "" || u.User != nil {
				t.Fatalf("%q is asked for as %s", file.Path, u)
			}
			if file.Size < unknown {
				t.Fatalf("size %d", file.Size)
			}
		}
		// What is kept of them for the definition is the same.
		if kept := pool.NewRequirements(files); fmt.Sprint(collect(kept)) != fmt.Sprint(files) {
			t.Fatalf("%v became %v", files, collect(kept))
		}
	})
}

func collect(r pool.Requirements) (files []pool.Requirement) {
	for file := range r.All() {
		files = append(files, file)
	}
	return files
}

// TestIndexIsFetchedOnce holds that many probes at the same time make one request.
func TestIndexIsFetchedOnce(t *testing.T) {
	var fetched atomic.Int64
	published := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		time.Sleep(20 * time.Millisecond)
		fmt.Fprintln(w, "10 a")
	})
	at := serve(t, "127.0.0.1", (&fileServer{content: map[string][]byte{"/a": content(10)}}).ServeHTTP)
	c := newChecker(Config{}, time.Now)
	target := requires(at, nil, func(p *pool.Probe) { p.Index = fmt.Sprintf("http://%s/index", published) })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := c.probe(t.Context(), target); got.Reason != "1 file is there" {
				t.Error(got.Reason)
			}
		})
	}
	all.Wait()
	if n := fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

// TestCancelledIndex holds that a probe that is cut short leaves no failure behind for
// others.
func TestCancelledIndex(t *testing.T) {
	at := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "10 a") })
	c := newChecker(Config{}, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	dial := c.dial
	c.dial = func(context.Context, string, string) (net.Conn, error) {
		cancel()
		return nil, ctx.Err()
	}
	target := requires(at, nil, func(p *pool.Probe) { p.Index = fmt.Sprintf("http://%s/index", at) })
	if got := c.probe(ctx, target); got.Outcome != Failed {
		t.Errorf("%s: %s", got.Outcome, got.Reason)
	}
	c.dial = dial
	if got := c.probe(t.Context(), target); !strings.HasPrefix(got.Reason, "1 of 1 file missing: a (") {
		t.Error(got.Reason)
	}
}

func TestIndexesAreBounded(t *testing.T) {
	var all indexes
	first := all.of("first")
	for i := range maxIndexes {
		all.of(fmt.Sprint(i))
		if i == maxIndexes/2 && all.of("first") != first {
			t.Fatal("one that is in use was dropped")
		}
	}
	if len(all.kept) != maxIndexes || all.kept["0"] != nil || all.kept["first"] == nil {
		t.Errorf("%d are kept", len(all.kept))
	}
}

// TestIndex holds what an index adds, that it is fetched once for many targets, and
// that one that cannot be had is no fault of theirs.
func TestIndex(t *testing.T) {
	served := &fileServer{content: map[string][]byte{"/a": content(10), "/b": content(20)}}
	at := serve(t, "127.0.0.1", served.ServeHTTP)
	var fetched atomic.Int64
	var tags []string
	index := "# what every mirror has\n10 a\n\n./b\n"
	published := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		tags = append(tags, r.Header.Get("If-None-Match"))
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(index))
	})
	names := hosts{"origin.test": {published.Addr()}}
	c := newChecker(Config{Resolver: names}, time.Now)
	source := fmt.Sprintf("http://origin.test:%d/index", published.Port())
	named := func(p *pool.Probe) { p.Index = source }
	got := c.probe(t.Context(), requires(at, nil, named))
	expect(t, got, Success, "2 files are there")
	wantSteps(t, got, "index: 2 files", "connect: *", "request: HEAD /a", "first byte: status 200 OK", "files: 2 of 2 files looked for, 0 missing")
	// Sizes of the probe go first; files are looked for once.
	got = c.probe(t.Context(), requires(at, []pool.Requirement{{Path: "/a", Size: 11}, {Path: "/c", Size: -1}}, named))
	expect(t, got, Missing, "2 of 3 files missing: /a (10 bytes, expected 11), /c (404)")
	if n := fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	// When it has become old it is asked for again, and not sent if it is the same.
	x := c.indexes.of(source)
	x.fetched = x.fetched.Add(-indexAge)
	expect(t, c.probe(t.Context(), requires(at, nil, named)), Success, "2 files are there")
	if got := fmt.Sprintf("%q", tags); got != `["" "\"one\""]` {
		t.Error(got)
	}
	x.fetched = x.fetched.Add(-indexAge)
	x.etag = ""
	index = "not an index at all, is it"
	// What was good stands for a day.
	expect(t, c.probe(t.Context(), requires(at, nil, named)), Success, "2 files are there")
	expect(t, c.probe(t.Context(), requires(at, nil, named)), Success, "2 files are there")
	if got := c.probe(t.Context(), requires(at, nil, named)); got.NotMade {
		t.Errorf("%+v", got)
	}
	x.good = x.good.Add(-indexKept)
	got = c.probe(t.Context(), requires(at, nil, named))
	expect(t, got, Success, "index not reachable: no files were looked for")
	if last := got.Evidence.Steps[len(got.Evidence.Steps)-1]; !got.NotMade || last.Name != "index" || !strings.HasPrefix(last.Words, "index line 1: ") {
		t.Errorf("%+v", last)
	}
	got = c.probe(t.Context(), requires(at, []pool.Requirement{{Path: "/a", Size: 10}}, named))
	expect(t, got, Success, "1 file is there; index not reachable: its files were not looked for")
	got = c.probe(t.Context(), requires(at, []pool.Requirement{{Path: "/c", Size: 10}}, named))
	expect(t, got, Missing, "1 of 1 file missing: /c (404)")
	if n := fetched.Load(); n != 3 { // not at every probe
		t.Errorf("fetched %d times", n)
	}
}

// TestIndexAtFault holds that an index that does not answer takes neither the probe's
// time nor the mirror down.
func TestIndexAtFault(t *testing.T) {
	at := serve(t, "127.0.0.1", (&fileServer{content: map[string][]byte{"/a": content(10)}}).ServeHTTP)
	large := strings.Repeat("# nothing\n", maxIndex/10+1)
	for _, test := range []struct {
		name string
		talk func(net.Conn)
		why  string
	}{
		{"black hole", func(c net.Conn) { io.Copy(io.Discard, c) }, "no answer within * (waiting for the answer)"},
		{"missing", answerWith("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "status 404, expected 200"},
		{"large", answerWith("HTTP/1.1 200 OK\r\n\r\n" + large), "index has more than 256 KiB"},
		{"inside", answerWith("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254.test/\r\n\r\n"), `resolving "169.254.169.254.test": *`},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := requires(at, []pool.Requirement{{Path: "/a", Size: 10}}, func(p *pool.Probe) {
				p.Index, p.Timeout = fmt.Sprintf("http://%s/index", raw(t, test.talk)), 30*time.Second
				if test.name == "black hole" {
					p.Timeout = 2 * time.Second
				}
			})
			got := NewProber(Config{Resolver: hosts{"169.254.169.254.test": {addr("169.254.169.254")}}}).Probe(t.Context(), target)
			expect(t, got, Success, "1 file is there; index not reachable: its files were not looked for")
			last := got.Evidence.Steps[len(got.Evidence.Steps)-1]
			before, after, _ := strings.Cut(test.why, "*")
			if last.Name != "index" || !strings.HasPrefix(last.Words, before) || !strings.HasSuffix(last.Words, after) {
				t.Errorf("%+v, expected %s", last, test.why)
			}
		})
	}
}

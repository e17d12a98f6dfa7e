package health

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// requires is the target of a mirror that has to have files.
func requires(at netip.AddrPort, files []pool.Requirement, change func(*pool.Probe)) Target {
	return member(pool.CheckHTTP, at, func(p *pool.Probe) {
		p.Purpose, p.Path, p.Statuses, p.Required = pool.PurposeContents, "", "", pool.NewRequirements(files)
		if change != nil {
			change(p)
		}
	})
}

func TestContents(t *testing.T) {
	served := &fileServer{content: map[string][]byte{"/a": content(10), "/dir/b": content(20_000), "/empty": {}, "/odd%20name": nil, "/odd name": content(5)}}
	at := serve(t, "127.0.0.1", served.ServeHTTP)
	all := func(files ...pool.Requirement) []pool.Requirement { return files }
	for _, test := range []struct {
		name    string
		files   []pool.Requirement
		outcome Outcome
		reason  string
	}{
		{"one", all(pool.Requirement{Path: "/a", Size: -1}), Success, "1 file is there"},
		{"with sizes", all(pool.Requirement{Path: "/a", Size: 10}, pool.Requirement{Path: "/dir/b", Size: 20_000}, pool.Requirement{Path: "/empty", Size: 0}), Success, "3 files are there"},
		{"percent", all(pool.Requirement{Path: "/odd%20name", Size: 5}), Success, "1 file is there"},
		{"relative", all(pool.Requirement{Path: "dir/b", Size: 20_000}), Success, "1 file is there"},
		{"missing", all(pool.Requirement{Path: "/a", Size: -1}, pool.Requirement{Path: "/none", Size: -1}, pool.Requirement{Path: "/dir/b", Size: 40}), Missing, "2 of 3 files missing: /none (404), /dir/b (20000 bytes, expected 40)"},
		{"the first", all(pool.Requirement{Path: "/none", Size: -1}), Missing, "1 of 1 file missing: /none (404)"},
		{"many", all(
			pool.Requirement{Path: "/n1", Size: -1}, pool.Requirement{Path: "/n2", Size: -1}, pool.Requirement{Path: "/n3", Size: -1}, pool.Requirement{Path: "/n4", Size: -1},
			pool.Requirement{Path: "/n5", Size: -1}, pool.Requirement{Path: "/n6", Size: -1}, pool.Requirement{Path: "/n7", Size: -1},
		), Missing, "7 of 7 files missing: /n1 (404), /n2 (404), /n3 (404), /n4 (404), /n5 (404) and 2 more"},
		{"none", nil, Failed, "no files are named"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := NewProber(Config{}).Probe(t.Context(), requires(at, test.files, nil))
			expect(t, got, test.outcome, test.reason)
		})
	}
	t.Run("below a URL", func(t *testing.T) {
		target := Target{URL: fmt.Sprintf("http://%s/dir/", at), Probe: pool.Probe{
			Purpose: pool.PurposeContents, Required: pool.NewRequirements(all(pool.Requirement{Path: "b", Size: 20_000}, pool.Requirement{Path: "a", Size: -1})),
		}}
		expect(t, NewProber(Config{}).Probe(t.Context(), target), Missing, "1 of 2 files missing: a (404)")
	})
	t.Run("steps", func(t *testing.T) {
		got := NewProber(Config{}).Probe(t.Context(), requires(at, all(pool.Requirement{Path: "/a", Size: 10}, pool.Requirement{Path: "/none", Size: -1}), nil))
		wantSteps(t, got, "connect: "+at.String(), "request: HEAD /a", "first byte: status 200 OK", "files: 2 of 2 files looked for, 1 missing")
		if got.Evidence.Status != 404 || got.Evidence.Bytes != 0 {
			t.Errorf("%+v", got.Evidence)
		}
	})
}

// TestContentsOfOddServers holds that servers that do not know HEAD, or tell no size,
// are asked for a byte.
func TestContentsOfOddServers(t *testing.T) {
	file := content(1000)
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		outcome Outcome
		reason  string
	}{
		{"no HEAD", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
		}, Success, "3 files are there"},
		{"HEAD is forbidden", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
		}, Success, "3 files are there"},
		{"no size by HEAD", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("Transfer-Encoding", "chunked")
				return
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
		}, Success, "3 files are there"},
		{"no HEAD, no ranges", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusNotImplemented)
				return
			}
			w.Header().Set("Content-Length", "1000")
			w.Write(file)
		}, Success, "3 files are there"},
		{"no size at all", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Transfer-Encoding", "chunked")
			if r.Method == http.MethodGet {
				w.Write(file)
			}
		}, Missing, "3 of 3 files missing: /0 (size not told, expected 1000 bytes), /1 (size not told, expected 1000 bytes), /2 (size not told, expected 1000 bytes)"},
		{"redirects", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else", http.StatusFound) }, Missing, "3 of 3 files missing: /0 (302), /1 (302), /2 (302)"},
		{"closes each time", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
		}, Success, "3 files are there"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := serve(t, "127.0.0.1", test.handler)
			var files []pool.Requirement
			for i := range 3 {
				files = append(files, pool.Requirement{Path: fmt.Sprintf("/%d", i), Size: 1000})
			}
			expect(t, NewProber(Config{}).Probe(t.Context(), requires(at, files, nil)), test.outcome, test.reason)
		})
	}
}

// manyFiles are required, and there.
func manyFiles(n int) (files []pool.Requirement) {
	for i := range n {
		files = append(files, pool.Requirement{Path: fmt.Sprintf("/pool/file-%d", i), Size: int64(i)})
	}
	return files
}

// TestManyFiles holds that hundreds of files cost a few connections, and that servers
// that let nobody have several are asked over one.
func TestManyFiles(t *testing.T) {
	const n = 400
	served := func(w http.ResponseWriter, r *http.Request) {
		var i int
		fmt.Sscanf(r.URL.Path, "/pool/file-%d", &i)
		w.Header().Set("Content-Length", fmt.Sprint(i))
	}
	var open, opened atomic.Int64
	listening := func(limit int64) netip.AddrPort {
		l := listen(t, "127.0.0.1")
		open.Store(0)
		opened.Store(0)
		server := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if open.Load() > limit {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				served(w, r)
			}),
			ConnState: func(_ net.Conn, s http.ConnState) {
				switch s {
				case http.StateNew:
					open.Add(1)
					opened.Add(1)
				case http.StateClosed:
					open.Add(-1)
				}
			},
		}
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		t.Cleanup(func() { server.Close(); <-done })
		return addressOf(l)
	}
	got := NewProber(Config{}).Probe(t.Context(), requires(listening(100), manyFiles(n), nil))
	expect(t, got, Success, "400 files are there")
	if c := opened.Load(); c != 1+maxHelpers {
		t.Errorf("%d connections", c)
	}
	if steps := len(got.Evidence.Steps); steps != 4 {
		t.Errorf("%d steps", steps)
	}
}

// TestFewConnections holds that a server that gives one client one connection alone
// is not taken for one that has no files.
func TestFewConnections(t *testing.T) {
	for _, refusal := range []string{"", "HTTP/1.1 ", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "nonsense\r\n\r\n"} {
		var first atomic.Bool
		at := raw(t, func(c net.Conn) {
			if first.Swap(true) {
				answerWith(refusal)(c)
				if refusal == "HTTP/1.1 " { // and nothing more, for ever
					io.Copy(io.Discard, c)
				}
				return
			}
			for range 100 {
				readRequest(c)
				if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"); err != nil {
					return
				}
			}
		})
		files := manyFiles(100)
		for i := range files {
			files[i].Size = 7
		}
		expect(t, NewProber(Config{}).Probe(t.Context(), requires(at, files, nil)), Success, "100 files are there")
	}
}

// TestContentsOverTime holds that what was found missing is told though the time was
// too short for the rest.
func TestContentsOverTime(t *testing.T) {
	for missing, want := range map[bool]Result{
		true:  {Outcome: Missing, Reason: "1 of 10 files missing: /pool/file-1 (404)"},
		false: {Outcome: Timeout, Reason: "5 of 10 files looked for within 10s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{talk: func(_ string, c net.Conn) {
				for i := range 10 {
					readRequest(c)
					time.Sleep(1900 * time.Millisecond)
					if missing && i == 1 {
						io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
					} else if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", i); err != nil {
						return
					}
				}
			}}
			probe := requires(netip.AddrPort{}, manyFiles(10), nil).Probe
			got, _ := n.probe(t, nil, Target{URL: "http://127.0.0.1/", Probe: probe})
			expect(t, got, want.Outcome, want.Reason)
		})
	}
}

// TestContentsInside holds that no file leads a public mirror's probe inside.
func TestContentsInside(t *testing.T) {
	for _, to := range []string{"127.0.0.1", "10.0.0.1", "[::1]"} {
		n := redirecting("8.0.0.1:80", to)
		probe := pool.Probe{Purpose: pool.PurposeContents, FollowRedirects: true, Required: pool.NewRequirements(manyFiles(3))}
		got, dialled := n.probe(t, nil, Target{URL: "http://8.0.0.1/", Probe: probe})
		expect(t, got, Status, "redirect from a public address to *, which is not")
		if len(dialled) != 1 {
			t.Errorf("dialled %q", dialled)
		}
	}
}

// TestLyingKeepAlive holds that bytes that nobody asked for are not the next answer.
func TestLyingKeepAlive(t *testing.T) {
	const one = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	at := raw(t, func(c net.Conn) {
		for range 3 {
			readRequest(c)
			// The second answer says that the next file is there, before it is asked for.
			io.WriteString(c, one+"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
		}
	})
	files := []pool.Requirement{{Path: "/0", Size: -1}, {Path: "/1", Size: -1}, {Path: "/2", Size: -1}}
	expect(t, NewProber(Config{}).Probe(t.Context(), requires(at, files, nil)), Missing, "3 of 3 files missing: /0 (404), /1 (404), /2 (404)")
}

// TestClosedBetween holds that a connection that the server has closed between two
// questions is no failure, and that one that fails anew is.
func TestClosedBetween(t *testing.T) {
	var connections atomic.Int64
	at := raw(t, func(c net.Conn) {
		connections.Add(1)
		readRequest(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") // and hangs up, without a word of it
	})
	files := []pool.Requirement{{Path: "/0", Size: 5}, {Path: "/1", Size: 5}, {Path: "/2", Size: 5}}
	expect(t, NewProber(Config{}).Probe(t.Context(), requires(at, files, nil)), Success, "3 files are there")
	if n := connections.Load(); n != 3 {
		t.Errorf("%d connections", n)
	}
	dead := raw(t, func(c net.Conn) {
		if connections.Add(1) == 4 {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
		}
	})
	got := NewProber(Config{}).Probe(t.Context(), requires(dead, files, nil))
	expect(t, got, Connection, "connection * (waiting for the answer)")
}

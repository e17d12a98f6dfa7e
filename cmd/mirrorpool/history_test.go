package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mirrorpool/pool/health/history"
)

// mirrorWithStatus is a mirror on loopback that answers with the status that it is given.
func mirrorWithStatus(t *testing.T, address string, status *atomic.Int64) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte("a page\n"))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}

// TestHistory: what the checks find is shown by the command, over restarts and removal of
// the member, with words of administrators; a damaged file costs it and nothing else.
func TestHistory(t *testing.T) {
	var status atomic.Int64
	status.Store(200)
	port := mirrorWithStatus(t, "127.0.0.51", &status)
	r := newSaid(t)
	pools := func(members string) string {
		return fmt.Sprintf(`{ "version": 1, "pools": [ { "name": "dl.example.test", "ttl": 5, "answers": 3,
  "health": { "check": "http", "port": %d, "host": "dl.example.test", "path": "/", "interval": "1s", "timeout": "1s", "down_after": 1, "up_after": 1 },
  "members": [ %s ] } ] }
`, port, members)
	}
	const wiki = `{ "id": "wiki", "mirror": "mirror.example.test", "addresses": ["127.0.0.51"], "weight": 10 }`
	const other = `{ "id": "other", "addresses": ["127.0.0.52"], "weight": 10 }`
	r.write("checkout/pools.json", pools(wiki+", "+other))
	r.push("Two members")
	r.start()
	r.eventually("answers", func() bool { return r.node.compiler.table.Load() != nil })

	r.eventually("the history knows the member", func() bool {
		_, body := r.get("/api/v1/history?member=wiki") // without a member where it is not known
		return strings.Contains(body, "mirror.example.test")
	})
	contains(t, r.said(0, "history", "wiki"), "member wiki of dl.example.test, mirror.example.test", "no failure since it is known", "no incidents")
	contains(t, r.said(1, "history", "nobody"), `nobody is known by the name "nobody"`)
	contains(t, r.said(1, "history", "wiki", "--pool", "other.test"), "in other.test")
	contains(t, r.said(2, "history", "wiki", "--since", "yesterday"), "--since", "expected a number with h, d, w, mo or y")
	contains(t, r.said(2, "history", "wiki", "--limit", "0"), "--limit")
	contains(t, r.said(2, "history", "wik["), `MEMBER: reading a member: found "wik["`)

	status.Store(503)
	r.eventually("wiki is down", func() bool { return strings.Contains(r.said(0, "history", "mirror.example.test"), "DOWN since") })
	status.Store(200)
	r.eventually("wiki is up", func() bool { return !strings.Contains(r.said(0, "history", "127.0.0.51"), "DOWN since") })
	r.said(0, "disable", "wiki", "--reason", "it was slow")
	shown := ""
	r.eventually("the history has the word", func() bool {
		shown = r.said(0, "history", "w*", "--since", "30d")
		return strings.Contains(shown, "disable: it was slow")
	})
	contains(t, shown, "first failure in six months: disable it for a while, write to its operator", "status 503, expected 200",
		"http 127.0.0.51", "failed probes, status 503, 7 bytes", "disable: it was slow", "127.0.0.51: ")
	var answer history.Answer
	if err := json.Unmarshal([]byte(r.said(0, "history", "wiki", "--json")), &answer); err != nil {
		t.Fatal(err)
	}
	if got := answer.Members[0].Incidents; len(got) != 1 || got[0].First == nil || got[0].First.FirstBytes == "" || len(got[0].First.Steps) == 0 {
		t.Errorf("%+v", got)
	}

	r.write("checkout/pools.json", pools(other))
	r.push("One member")
	r.eventually("wiki is removed", func() bool { return strings.Contains(r.said(0, "history", "wiki"), "not in the repository any more") })
	r.stop()
	r.start()
	r.eventually("answers", func() bool { return r.node.compiler.table.Load() != nil })
	contains(t, r.said(0, "history", "*"), "first failure in six months", "member other", "status 503, expected 200", "not in the repository any more")

	r.stop()
	file := filepath.Join(r.path("state"), historyFile)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[100:], make([]byte, 2000))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.eventually("answers", func() bool { return r.node.compiler.table.Load() != nil })
	r.eventually("the history goes on", func() bool { return r.stage(stageHistory).Error == "" })
	if !strings.Contains(r.log.String(), "put aside") && !strings.Contains(r.log.String(), "damaged") && !strings.Contains(r.log.String(), "malformed") {
		t.Errorf("the log says nothing of the damage: %s", r.log)
	}
	contains(t, r.said(0, "history", "other"), "history begins here", "is put aside as")
	if names, _ := filepath.Glob(file + ".corrupt-*"); len(names) == 0 {
		t.Error("no file is put aside")
	}
}

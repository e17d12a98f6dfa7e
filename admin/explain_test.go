package admin

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"mirrorpool/pool/selection"
)

func TestExplain(t *testing.T) {
	h := testHandler(t, testTable(t, testPools))
	tests := []struct {
		query      string
		country    string
		candidates []string
		leftOut    []string
	}{
		{"client=127.1.2.3&pool=dl.pool.test", "DE", []string{"one"}, nil},
		{"client=127.1.2.3", "DE", []string{"one"}, nil},
		{"client=::ffff:127.1.2.3", "DE", []string{"one"}, nil},
		{"client=::1", "", []string{"one"}, []string{"two"}},
		{"client=127.1.2.3&family=6", "DE", []string{"one"}, []string{"two"}},
		{"client=::1&family=4&pool=DL.pool.test.", "", []string{"one"}, []string{"two", "gone", "spare"}},
		{"client=127.1.2.3&host=download.test", "DE", []string{"https://a.mirror.test/tails/", "https://c.mirror.test/tails/"}, []string{"http://b.mirror.test/"}},
		{"client=127.1.2.3&host=Download.test&scheme=https", "DE", []string{"https://a.mirror.test/tails/", "https://c.mirror.test/tails/"}, []string{"http://b.mirror.test/"}},
		{"client=127.1.2.3&host=download.test&scheme=http", "DE", []string{"https://a.mirror.test/tails/", "https://c.mirror.test/tails/"}, nil},
	}
	for _, test := range tests {
		w := ask(h, "GET", "/api/v1/explain?"+test.query, nil)
		if w.Code != 200 {
			t.Errorf("%s: %d %s", test.query, w.Code, w.Body)
			continue
		}
		var got selection.Explanation
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Errorf("%s: %v", test.query, err)
			continue
		}
		if got.Place.Country != test.country {
			t.Errorf("%s: country %q", test.query, got.Place.Country)
		}
		var candidates, leftOut []string
		for _, c := range got.Candidates {
			candidates = append(candidates, c.ID)
		}
		for _, c := range got.LeftOut {
			leftOut = append(leftOut, c.ID)
		}
		if !slices.Equal(candidates, test.candidates) {
			t.Errorf("%s: candidates %q, expected %q", test.query, candidates, test.candidates)
		}
		for _, id := range test.leftOut {
			if !slices.Contains(leftOut, id) {
				t.Errorf("%s: %q is not among those left out, %q", test.query, id, leftOut)
			}
		}
	}
}

// The family is the client's own unless one is asked for.
func TestExplainFamily(t *testing.T) {
	h := testHandler(t, testTable(t, testPools))
	for query, six := range map[string]bool{
		"client=127.1.2.3":          false,
		"client=::ffff:127.1.2.3":   false,
		"client=::1":                true,
		"client=127.1.2.3&family=6": true,
		"client=::1&family=4":       false,
	} {
		text := ask(h, "GET", "/api/v1/explain?"+query, nil).Body.String()
		if got := strings.Contains(text, "AAAA"); got != six {
			t.Errorf("%s: about IPv6: %v, expected %v\n%s", query, got, six, text)
		}
	}
}

func TestExplainRefuses(t *testing.T) {
	const (
		noPools = `{"version": 1, "redirects": [{"host": "a.test"}, {"host": "b.test"}]}`
		noHosts = `{"version": 1, "pools": []}`
	)
	tests := []struct {
		pools, query string
		status       int
		words        []string
	}{
		{testPools, "", 400, []string{"client is missing"}},
		{testPools, "client=", 400, []string{"client is missing"}},
		{testPools, "client=somebody", 400, []string{"client", `"somebody"`, "IP address"}},
		{testPools, "client=127.0.0.0/8", 400, []string{"client"}},
		{testPools, "client=127.0.0.1&client=127.0.0.2", 400, []string{"client", "2 times"}},
		{testPools, "client=127.0.0.1&family=5", 400, []string{"family", `"5"`, "4 or 6"}},
		{testPools, "client=127.0.0.1&scheme=ftp", 400, []string{"scheme", `"ftp"`}},
		{testPools, "client=127.0.0.1&pool=a&host=b", 400, []string{"pool and host"}},
		{testPools, "client=127.0.0.1&colour=red", 400, []string{`"colour"`}},
		{testPools, "client=127.0.0.1&pool=%zz", 400, []string{"%zz"}},
		{testPools, "client=127.0.0.1&pool=x.test", 404, []string{`pool "x.test"`, "dl.pool.test"}},
		{testPools, "client=127.0.0.1&host=x.test", 404, []string{`redirect host "x.test"`, "download.test"}},
		{noPools, "client=127.0.0.1", 400, []string{"pools are: none; redirect hosts: a.test, b.test", "a.test", "b.test"}},
		{noPools, "client=127.0.0.1&pool=x.test", 404, []string{"none"}},
		{noHosts, "client=127.0.0.1", 400, []string{"pools are: none; redirect hosts: none"}},
	}
	for _, test := range tests {
		w := ask(testHandler(t, testTable(t, test.pools)), "GET", "/api/v1/explain?"+test.query, nil)
		if w.Code != test.status {
			t.Errorf("%s: %d %s", test.query, w.Code, w.Body)
		}
		got := errorOf(t, w.Body.Bytes())
		for _, words := range test.words {
			if !strings.Contains(got, words) && !strings.Contains(w.Body.String(), words) {
				t.Errorf("%s: %q is not in %s", test.query, words, w.Body)
			}
		}
	}
	if w := ask(testHandler(t, nil), "GET", "/api/v1/explain?client=127.0.0.1", nil); w.Code != 503 {
		t.Errorf("no table: %d %s", w.Code, w.Body)
	}
}

func FuzzExplain(f *testing.F) {
	h := testHandler(f, testTable(f, testPools))
	f.Add("client=127.0.0.1&pool=dl.pool.test&family=6")
	f.Add("client=::1%25eth0&host=download.test&scheme=https")
	f.Add("client=%zz;&&=")
	f.Fuzz(func(t *testing.T, query string) {
		r := askRaw(h, query)
		if !json.Valid(r.Body.Bytes()) || r.Code >= 500 {
			t.Errorf("%q: %d %s", query, r.Code, r.Body)
		}
	})
}

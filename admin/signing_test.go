package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeRollovers remember what they are asked.
type fakeRollovers struct {
	changed []RolloverChange
	err     error
}

func (f *fakeRollovers) Show(zone string) (*Signing, error) {
	if zone != "pool.test." {
		return nil, &UnknownZone{Zone: zone, There: []string{"pool.test."}}
	}
	return testSigning(), f.err
}

func (f *fakeRollovers) Change(_ context.Context, change RolloverChange) (*Signing, error) {
	f.changed = append(f.changed, change)
	return f.Show(change.Zone)
}

func testSigning() *Signing {
	at := testNow.UTC()
	return &Signing{
		Keys: []SigningKey{
			{ID: "Kpool.test.+013+00001", Tag: 1, Algorithm: "ECDSAP256SHA256", Role: "csk", Published: true, Signs: true, CDS: true, DS: "1 13 2 00"},
		},
		Expires: &at, Renewed: &at,
		Parent: ParentDS{State: ParentDiffers, Asked: &at, Servers: []ParentServer{{Address: "127.0.0.1:53", DS: []string{"2 13 2 00"}, TTL: 60}}},
		Rollover: &Rollover{
			Kind: "csk", Algorithm: "ECDSAP256SHA256", Old: []string{"a"}, New: []string{"b"}, Step: "parent", Number: 1, Of: 1,
			Steps: []RolloverStep{{Step: "parent", About: "…", Reached: &at, Parent: true}}, Waiting: "the parent", Until: &at,
		},
		Last: &LastRollover{Kind: "zsk", Old: []string{"c"}, New: []string{"d"}, Ended: &at}, Withdrawing: &at, Problem: "…",
	}
}

func TestRolloverRequests(t *testing.T) {
	asked := http.Header{"X-Mirrorpool": {"1"}}
	tests := map[string]struct {
		method, target string
		headers        http.Header
		err            error
		status         int
		says           string
		change         *RolloverChange
	}{
		"shown":            {"GET", "?zone=POOL.test", nil, nil, 200, `"step": "parent"`, nil},
		"unknown":          {"GET", "?zone=other.test", nil, nil, 404, `"pool.test."`, nil},
		"no name":          {"GET", "", nil, nil, 400, "zone", nil},
		"not a name":       {"GET", "?zone=a..b", nil, nil, 400, "a..b", nil},
		"another site":     {"POST", "/change?zone=pool.test&action=start", nil, nil, 403, "X-Mirrorpool", nil},
		"another origin":   {"POST", "/change?zone=pool.test&action=start", http.Header{"X-Mirrorpool": {"1"}, "Origin": {"http://other.test"}, "Sec-Fetch-Site": {"cross-site"}}, nil, 403, "origins", nil},
		"rebinding":        {"POST", "/change?zone=pool.test&action=start", http.Header{"X-Mirrorpool": {"1"}, "Host": {"rebound.test"}}, nil, 403, "rebound.test", nil},
		"no action":        {"POST", "/change?zone=pool.test", asked, nil, 400, "action", nil},
		"by GET":           {"GET", "/change?zone=pool.test&action=start", asked, nil, 405, "POST", nil},
		"started":          {"POST", "/change?zone=pool.test&action=start&kind=ksk&algorithm=15", asked, nil, 200, `"csk"`, &RolloverChange{Zone: "pool.test.", Action: "start", Kind: "ksk", Algorithm: "15"}},
		"begun":            {"POST", "/change?zone=pool.test&action=begin", asked, nil, 200, `"csk"`, &RolloverChange{Zone: "pool.test.", Action: "begin"}},
		"seen":             {"POST", "/change?zone=pool.test&action=ds-seen&ds_ttl=1h", asked, nil, 200, `"csk"`, &RolloverChange{Zone: "pool.test.", Action: "ds-seen", ParentTTL: time.Hour}},
		"TTL of nothing":   {"POST", "/change?zone=pool.test&action=ds-seen&ds_ttl=0s", asked, nil, 400, "0s", nil},
		"TTL of years":     {"POST", "/change?zone=pool.test&action=ds-seen&ds_ttl=10000h", asked, nil, 400, "720h", nil},
		"not now":          {"POST", "/change?zone=pool.test&action=cancel", asked, errors.New("too late"), 409, "too late", &RolloverChange{Zone: "pool.test.", Action: "cancel"}},
		"unknown, changed": {"POST", "/change?zone=other.test&action=cancel", asked, nil, 404, "there is no zone other.test.", &RolloverChange{Zone: "other.test.", Action: "cancel"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fake := &fakeRollovers{err: test.err}
			h := testHandler(t, testTable(t, testPools), func(c *Config) { c.Rollovers = fake })
			w := ask(h, test.method, "/api/v1/rollover"+test.target, test.headers)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			var expected []RolloverChange
			if test.change != nil {
				expected = []RolloverChange{*test.change}
			}
			if diff := cmp.Diff(expected, fake.changed); diff != "" {
				t.Error(diff)
			}
		})
	}
	if w := ask(testHandler(t, nil), "GET", "/api/v1/rollover?zone=pool.test", nil); w.Code != http.StatusNotImplemented {
		t.Errorf("without signing: %d", w.Code)
	}
}

// The state shows how each zone is signed, in the words that are read back by the
// command line.
func TestStateOfSignedZones(t *testing.T) {
	h := testHandler(t, testTable(t, testPools), func(c *Config) {
		c.Status = func() Status { return Status{Signing: map[string]*Signing{"pool.test.": testSigning()}} }
	})
	var read struct {
		Zones []struct {
			DNSSEC *Signing `json:"dnssec"`
		} `json:"zones"`
	}
	if err := json.Unmarshal(ask(h, "GET", "/api/v1/state", nil).Body.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	if len(read.Zones) != 1 {
		t.Fatalf("%d zones", len(read.Zones))
	}
	if diff := cmp.Diff(testSigning(), read.Zones[0].DNSSEC); diff != "" {
		t.Error(diff)
	}
}

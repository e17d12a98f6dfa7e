package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool/administrative"
)

// testWords says that two members are disabled, and notes what it is asked.
type testWords struct {
	asked *WordsWish
	err   error
}

func (testWords) Said() []administrative.Word {
	return []administrative.Word{
		{Action: administrative.ForceUp, Pool: "dl.pool.test", Member: "two", Reason: "its check is wrong", Since: testNow},
		{
			Action: administrative.Disable, Pool: "download.test", Member: "https://c.mirror.test/tails/", Reason: "slow",
			By: "alice", Since: testNow, Until: testNow.Add(48 * time.Hour),
		},
	}
}

func (w testWords) Say(_ context.Context, wish WordsWish) (*WordsChange, error) {
	*w.asked = wish
	if w.err != nil {
		return nil, w.err
	}
	return &WordsChange{Words: w.Said()[:1], Notes: []string{"noted"}}, nil
}

func TestWordsAreTaken(t *testing.T) {
	const good = "action=disable&member=edge-*&pool=DL.pool.test.&for=48h&reason=a+new+disk&by=alice&force=true"
	var asked WordsWish
	h := testHandler(t, testTable(t, testPools), func(c *Config) { c.Words = testWords{asked: &asked} })
	const change = "/api/v1/administrative/change?"
	header := http.Header{"X-Mirrorpool": {"1"}}
	answer := func(h http.Handler, method, target string, header http.Header) (int, string) {
		recorded := ask(h, method, target, header)
		return recorded.Code, recorded.Body.String()
	}
	post := func(query string) (int, string) { return answer(h, "POST", change+query, header) }
	if code, body := post(good); code != 200 || !strings.Contains(body, "noted") {
		t.Errorf("%d %s", code, body)
	}
	if asked.Action != "disable" || asked.Pool != "dl.pool.test" || asked.For != 48*time.Hour || asked.Reason != "a new disk" ||
		asked.By != "alice" || !asked.Force || !asked.Member.Matches("edge-eu") || asked.Member.Matches("wiki") {
		t.Errorf("asked for %+v", asked)
	}
	for _, bad := range []string{
		strings.Replace(good, "disable", "remove", 1), strings.Replace(good, "edge-*", "%5B", 1), strings.Replace(good, "edge-*", "", 1),
		strings.Replace(good, "48h", "2d", 1), strings.Replace(good, "48h", "-1h", 1), strings.Replace(good, "48h", "99999h", 1),
		strings.Replace(good, "a+new+disk", "", 1), strings.Replace(good, "a+new+disk", "%0A", 1), strings.Replace(good, "alice", "%1B", 1),
	} {
		if code, body := post(bad); code != 400 {
			t.Errorf("%s: %d %s", bad, code, body)
		}
	}
	if code, _ := post("action=enable&member=edge-*"); code != 200 || asked.Action != "enable" {
		t.Errorf("enable: %d, asked for %+v", code, asked)
	}
	if code, _ := answer(h, "POST", change+good, nil); code != 403 {
		t.Errorf("without the header: %d", code)
	}
	for err, want := range map[error]int{
		&UnknownMember{There: []string{"one"}}: 404, &RefusedWords{"no"}: 409, errors.New("disk"): 409,
	} {
		h := testHandler(t, testTable(t, testPools), func(c *Config) { c.Words = testWords{asked: &asked, err: err} })
		if code, body := answer(h, "POST", change+good, header); code != want || !strings.Contains(body, "error") {
			t.Errorf("%v: %d %s, want %d", err, code, body, want)
		}
	}
}

func TestWordsAreShown(t *testing.T) {
	var asked WordsWish
	h := testHandler(t, testTable(t, testPools), func(c *Config) { c.Words = testWords{asked: &asked} })
	for path, parts := range map[string][]string{
		"/api/v1/administrative": {`"member": "two"`, `"until": "2026-03-03T12:30:00Z"`, `"by": "alice"`},
		"/api/v1/state":          {`"action": "force-up"`, `"reason": "slow"`},
		"/metrics": {
			`mirrorpool_administrative{action="force-up",member="two",pool="dl.pool.test"} 1`,
			`mirrorpool_redirect_mirrors{host="download.test",state="disabled"} 2`,
		},
	} {
		recorded := ask(h, "GET", path, nil)
		code, body := recorded.Code, recorded.Body.String()
		for _, part := range parts {
			if code != 200 || !strings.Contains(body, part) {
				t.Errorf("%s: %d, %q is not in\n%s", path, code, part, body)
			}
		}
	}
}

package zones

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
)

// say gives words about members, and about their mirrors.
func (w *town) say(words ...administrative.Word) {
	all := words
	for _, word := range words {
		word.Pool, word.Member = w.redirect.Host, "http://"+word.Member+".test/"
		all = append(all, word)
	}
	w.in.Administrative = administrative.NewState(all)
}

func saying(action administrative.Action, member, reason string, length time.Duration) administrative.Word {
	word := administrative.Word{Action: action, Pool: "dl.example.org", Member: member, Reason: reason, By: "ana", Since: testNow}
	if length > 0 {
		word.Until = testNow.Add(length)
	}
	return word
}

// What was said here is what is done, and each who is left out is told of with who
// said it, until when and why.
func TestAdministrativeWords(t *testing.T) {
	w := newTown(t, func(w *town) {
		w.pool.Members[4].Weight, w.redirect.List.Mirrors[4].Weight = 0, 0
		w.pool.Members[5].Weight, w.redirect.List.Mirrors[5].Weight = 0, 0
		w.pool.Members[6].Weight, w.redirect.List.Mirrors[6].Weight = 0, 0
	}, "one", "two", "down", "unknown", "off", "offHere", "offForced")
	w.set("down", health.State{Verdict: health.Down, Reason: "status 503"})
	w.set("unknown", health.State{})
	w.expect(t, w.compile(t, 0), "normal one:0.5000 two:0.5000")

	w.say(
		saying(administrative.Disable, "one", "new disks", 48*time.Hour),
		saying(administrative.ForceUp, "down", "the check is wrong", 0),
		saying(administrative.ForceUp, "unknown", "it is known", time.Hour),
		saying(administrative.Disable, "offHere", "as well", 0),
		saying(administrative.ForceUp, "offForced", "in vain", 0),
	)
	table := w.compile(t, 0)
	w.expect(t, table, "normal two:0.3333 down:0.3333 unknown:0.3333")
	words := w.words(table)
	for member, want := range map[string]string{
		"one":       "disabled on this node until 2026-05-03 12:00 UTC: new disks (ana, 2026-05-01 12:00 UTC)",
		"two":       "up: status 200",
		"down":      "taken for up on this node until it is enabled: the check is wrong (ana, 2026-05-01 12:00 UTC); by the checks it is down: status 503",
		"unknown":   "taken for up on this node until 2026-05-01 13:00 UTC: it is known (ana, 2026-05-01 12:00 UTC); by the checks it is not probed yet: not given before it is known to be up",
		"off":       "disabled by the repository (weight 0)",
		"offHere":   "disabled by the repository (weight 0), and disabled on this node until it is enabled: as well (ana, 2026-05-01 12:00 UTC)",
		"offForced": "disabled by the repository (weight 0), which goes before: taken for up on this node until it is enabled: in vain (ana, 2026-05-01 12:00 UTC)",
	} {
		want = strings.NewReplacer("2026-05-01 12:00 UTC", moment(testNow), "2026-05-03 12:00 UTC", moment(testNow.Add(48*time.Hour)),
			"2026-05-01 13:00 UTC", moment(testNow.Add(time.Hour))).Replace(want)
		for _, id := range []string{member, "http://" + member + ".test/"} {
			if diff := cmp.Diff(want, words[id]); diff != "" {
				t.Errorf("%s (-expected +found):\n%s", id, diff)
			}
		}
	}
	table = w.compile(t, serialHold)
	if due := table.Due(); !due.Equal(testNow.Add(time.Hour)) {
		t.Errorf("due at %v, expected the end of the first word", due)
	}
	w.expect(t, w.compile(t, time.Hour), "normal two:0.5000 down:0.5000")
	w.expect(t, w.compile(t, 48*time.Hour), "normal one:0.3333 two:0.3333 down:0.3333")
}

// Descriptions carry the words, and tell who counts as up.
func TestAdministrativeDescriptions(t *testing.T) {
	w := newTown(t, nil, "one", "two", "down")
	w.set("down", health.State{Verdict: health.Down})
	w.say(saying(administrative.Disable, "one", "new disks", 0), saying(administrative.ForceUp, "down", "the check is wrong", 0))
	table := w.compile(t, 0)
	members, mirrors := table.Pools(nil)[0].Members, table.Hosts(nil)[0].Mirrors
	for i, want := range []struct {
		action administrative.Action
		up     bool
	}{{administrative.Disable, false}, {"", true}, {administrative.ForceUp, true}} {
		for _, found := range []struct {
			word *administrative.Word
			up   bool
		}{{members[i].Word, members[i].Addresses[0].Up}, {members[i].Word, members[i].Addresses[1].Up}, {mirrors[i].Word, mirrors[i].Up}} {
			if found.up != want.up || (found.word == nil) != (want.action == "") || found.word != nil && found.word.Action != want.action {
				t.Errorf("%s: %+v, expected %+v", members[i].ID, found, want)
			}
		}
	}
}

// While all who have a weight are disabled here there is nothing to give: that is no
// all_down, in which those who are out of order would be given.
func TestAllDisabledHere(t *testing.T) {
	w := newTown(t, nil, "one", "two")
	w.say(saying(administrative.Disable, "one", "a", 0), saying(administrative.Disable, "two", "b", 0))
	table := w.compile(t, 0)
	w.expect(t, table, "empty")
	if !table.pools[0].ipv4.served {
		t.Error("the pool is told of as one that never has addresses")
	}
	if given, _ := table.Given(w.pool.Name); len(given.IPv4.Addresses) > 0 || table.pools[0].parts[0] != nil {
		t.Errorf("given elsewhere: %v", given.IPv4.Addresses)
	}
	if a := table.Answer(Question{Name: "dl.example.org.", Type: dns.TypeA}, nil); a.Rcode != dns.RcodeSuccess || len(a.Answer) > 0 || len(a.Authority) != 1 {
		t.Error(answerText(a))
	}
	w.say(saying(administrative.Disable, "one", "a", 0))
	w.set("two", health.State{Verdict: health.Down})
	w.expect(t, w.compile(t, 0), "all two:1.0000")
}

// Pools and hosts are taken over while the words stay, and not when they change.
func TestWordsAreTakenOver(t *testing.T) {
	w := newTown(t, func(w *town) {
		w.pool.Policy.Nearness = pool.Near
		for i, country := range []string{"DE", "US", "JP"} {
			w.pool.Members[i].Location = &pool.Location{Country: country}
		}
	}, "one", "two", "three")
	word := saying(administrative.Disable, "one", "a", time.Hour)
	w.say(word)
	before := w.compile(t, 0)
	classes := before.pools[0].ipv4.classKey
	if classes == "" {
		t.Fatal("clients are not sorted")
	}
	w.say(word)
	same := w.compile(t, time.Second)
	if same.pools[0].compiledPool != before.pools[0].compiledPool || same.Host(w.redirect.Host) != before.Host(w.redirect.Host) {
		t.Error("nothing has changed, but the pool or the host is made anew")
	}
	for name, change := range map[string]func(*administrative.Word){
		"reason": func(w *administrative.Word) { w.Reason = "b" },
		"end":    func(w *administrative.Word) { w.Until = w.Until.Add(time.Minute) },
		"action": func(w *administrative.Word) { w.Action = administrative.ForceUp },
		"who":    func(w *administrative.Word) { w.By = "ben" },
		"whom":   func(w *administrative.Word) { w.Member = "two" },
	} {
		other := word
		change(&other)
		w.say(word)
		before := w.compile(t, time.Second)
		w.say(other)
		after := w.compile(t, time.Second)
		if after.pools[0].compiledPool == before.pools[0].compiledPool || after.Host(w.redirect.Host) == before.Host(w.redirect.Host) {
			t.Errorf("%s: the pool or the host is taken over with the old words", name)
		}
		if after.pools[0].ipv4.classKey != classes {
			t.Errorf("%s: who is disabled for now changes how clients are sorted", name)
		}
	}
}

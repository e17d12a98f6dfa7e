//go:build linux

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorpool/bench/load"
	"mirrorpool/bench/packets"
)

// TestTheServerIsRobust builds the program and sends it what `make robustness`
// does, a part of it.
func TestTheServerIsRobust(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	f := &robustnessFlags{packets: 6_000, seed: 7}
	f.options = *testOptions(t)
	f.program = filepath.Join(t.TempDir(), "mirrorpool")
	if output, err := exec.Command("go", "build", "-o", f.program, "mirrorpool/cmd/mirrorpool").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v: %s", err, output)
	}
	var progress strings.Builder
	r, err := f.run(t.Context(), &progress)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := r.write(&table); err != nil {
		t.Fatal(err)
	}
	t.Log(table.String())
	if len(r.wrong) > 0 {
		t.Error("something is wrong")
	}
	var all asking
	for over, c := range r.counts {
		if c.packets == 0 || c.answered == 0 || c.silence == 0 || c.asked < c.packets/1000 || c.right != c.asked {
			t.Errorf("over %s: %+v", over, c)
		}
		all.add(c)
	}
	if all.packets != f.packets || len(r.counts) != len(shares) || r.perEach <= 0 || r.memory[3] < 1<<20 {
		t.Errorf("the run is %+v", r)
	}
}

// TestWhatIsNotRobustIsTold asks a server that answers what the DNS library hands
// on to it, and that a header without its question ends.
func TestWhatIsNotRobustIsTold(t *testing.T) {
	o := testOptions(t)
	for _, over := range []string{"udp", "tcp"} {
		r, err := o.start(t.Context(), testServer(t, ""), 0, mustAsk(t), false)
		if err != nil {
			t.Fatal(err)
		}
		a := &asker{
			asking: asking{wrong: map[string]int{}}, over: over, most: 400, address: r.address.String(),
			node: &robustNode{server: r.server}, good: mustAsk(t), patience: 200 * time.Millisecond,
			source: packets.NewSource(1, packets.Seeds(robustNames...)),
		}
		watch := watchMemory(r.process, a.most)
		err = a.run(t.Context(), watch)
		a.close()
		watch.stop()
		if err == nil && len(a.wrong) == 0 || len(a.wrong) > 6 {
			t.Errorf("over %s: %d things are wrong: %v; %v", over, len(a.wrong), a.wrong, err)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	}
}

func mustAsk(t *testing.T) []load.Question {
	t.Helper()
	questions, err := poolQuestions(1, 1, load.Form{})(testServer(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	return questions
}

func TestGrowingMemoryIsTold(t *testing.T) {
	const mb = 1 << 20
	for curve, grows := range map[memoryCurve]bool{
		{50 * mb, 50 * mb, 50 * mb, 50 * mb}: false,
		{20 * mb, 50 * mb, 90 * mb, 56 * mb}: false,
		{50 * mb, 50 * mb, 55 * mb, 60 * mb}: true,
		{0, 0, 0, 50 * mb}:                   false, // too short a run to tell
	} {
		if told := curve.wrong(); (told != "") != grows {
			t.Errorf("%v: %q", curve, told)
		}
	}
}

func TestErrorsInTheLogAreFound(t *testing.T) {
	good := `{"level":"info","message":"serving"}` + "\n" + `{"level":"warn","message":"an error is near"}` + "\n"
	if wrong := wrongInLog(good); wrong != nil {
		t.Errorf("found %q", wrong)
	}
	for _, bad := range []string{`{"level":"error","message":"x"}`, "panic: x", "fatal error: out of memory"} {
		if wrong := wrongInLog(good + bad + "\n" + good); len(wrong) != 1 || !strings.Contains(wrong[0], bad) {
			t.Errorf("%q: %q", bad, wrong)
		}
	}
	if wrong := wrongInLog(strings.Repeat("panic: x\n", 100)); len(wrong) != 5 {
		t.Errorf("%d of a hundred are told", len(wrong))
	}
}

func TestTheServersCountsAreJudged(t *testing.T) {
	before, after := map[string]float64{}, map[string]float64{}
	for _, line := range []string{
		`# HELP mirrorpool_dns_queries_total x`,
		`mirrorpool_dns_queries_total{pool="",rcode="REFUSED",transport="udp"} 3`,
		`mirrorpool_dns_queries_total{pool="dl.example.test",rcode="NOERROR",transport="udp"} 4`,
		`mirrorpool_dns_queries_total{pool="",rcode="REFUSED",transport="tcp"} 9`,
		`mirrorpool_dns_failures_total{reason="panic"} 1`,
		``,
	} {
		addMetric(after, line)
	}
	r := &robustness{counts: map[string]*asking{
		"udp": {answered: 5, right: 1, wrong: map[string]int{"strange": 2}}, "tcp": {answered: 8},
	}}
	r.judge(before, after)
	want := []string{
		"mirrorpool_dns_failures_total is 1", "over udp: 2 times: strange", "over udp: 6 answers came, the server counts 7",
	}
	if !slices.Equal(r.wrong, want) {
		t.Errorf("found %q, expected %q", r.wrong, want)
	}
}

func TestRobustnessTellsOfWrongUsage(t *testing.T) {
	for _, arguments := range []string{"-packets 0", "-packets many", "x"} {
		var out, errorOut bytes.Buffer
		code := run(append([]string{"robustness"}, strings.Fields(arguments)...), strings.NewReader(""), &out, &errorOut)
		if code != exitUsage || strings.Contains(errorOut.String(), "unknown command") {
			t.Errorf("%q: exit status %d, %s", arguments, code, errorOut.String())
		}
	}
}

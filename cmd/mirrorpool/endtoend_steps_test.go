//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testdraw"
)

func (w *world) resolves() {
	reply := w.ask(w.resolver, "dl.mirrors.test.", dns.TypeA)
	got := addresses(reply)
	if reply.Rcode != dns.RcodeSuccess || len(got) != 2 {
		w.Fatalf("A through unbound: %v", reply)
	}
	for _, address := range got {
		if !slices.Contains(mirrorAddresses, address) {
			w.Errorf("A through unbound: %s is no mirror", address)
		}
	}
	if got := addresses(w.ask(w.resolver, "dl.mirrors.test.", dns.TypeAAAA)); !slices.Equal(got, []string{"::1"}) {
		w.Errorf("AAAA through unbound: %v, want ::1", got)
	}
	if got := addresses(w.ask(w.resolver, "25.dl.mirrors.test.", dns.TypeA)); len(got) != 2 {
		w.Errorf("a wildcard alias of the pool through unbound: %v, want two mirrors", got)
	}
	if reply := w.ask(w.resolver, "nothing.mirrors.test.", dns.TypeA); reply.Rcode != dns.RcodeNameError {
		w.Errorf("a name that is not there: %s, want NXDOMAIN", dns.RcodeToString[reply.Rcode])
	}
}

// sharesHold tests the first records of many answers against the weights by
// χ² with two degrees of freedom: exp(-x/2) is the probability of a worse fit.
func (w *world) sharesHold() {
	const questions = 6000
	expected := map[string]float64{mirrorAddresses[0]: 0.5, mirrorAddresses[1]: 0.3, mirrorAddresses[2]: 0.2}
	first := map[string]float64{}
	for range questions {
		got := addresses(w.ask(w.dnsPort, "dl.mirrors.test.", dns.TypeA))
		if len(got) != 2 || got[0] == got[1] {
			w.Fatalf("not two different members: %v", got)
		}
		first[got[0]]++
	}
	statistic := 0.0
	for address, share := range expected {
		difference := first[address] - share*questions
		statistic += difference * difference / (share * questions)
	}
	if p := math.Exp(-statistic / 2); p < 1e-10 {
		w.Errorf("first records %v of %d: p = %g", first, questions, p)
	}
}

func (w *world) redirects() {
	at := fmt.Sprintf("http://127.0.0.1:%d", w.httpPort)
	headers := w.command("curl", "-sS", "-I", "-H", "Host: download.mirrors.test", at+"/tails/stable/tails.img")
	location := regexp.MustCompile(`(?mi)^location: (http://127\.0\.0\.3[123]:\d+)/tails/stable/tails\.img\r?$`)
	if !strings.HasPrefix(headers, "HTTP/1.1 302") || !location.MatchString(headers) {
		w.Fatalf("not redirected to a mirror:\n%s", headers)
	}
	links := regexp.MustCompile(`(?mi)^link: <http://127\.0\.0\.3[123]:\d+/tails/stable/tails\.img>; ?rel=duplicate; ?pri=[12]`).FindAllString(headers, -1)
	if len(links) != 2 {
		w.Errorf("%d Link headers, want 2:\n%s", len(links), headers)
	}
	if body := w.command("curl", "-sS", "-L", "-H", "Host: download.mirrors.test", at+"/tails/stable/tails.img"); body != "an image\n" {
		w.Errorf("the download behind the redirect: %q", body)
	}
	served := w.command("curl", "-sS", "-H", "Host: download.mirrors.test", at+"/mirrors.json")
	if served != w.read(filepath.Join(w.checkout, "mirrors.json")) {
		w.Errorf("mirrors.json is not that of the commit:\n%s", served)
	}
}

func (w *world) explains() {
	text := w.command(w.program, "explain", "--config", w.config, "--client", "127.0.0.1")
	for _, member := range []string{"one", "two", "three"} {
		if !strings.Contains(text, member) {
			w.Errorf("explain does not name %s:\n%s", member, text)
		}
	}
}

func (w *world) mirrorFails() {
	victim := mirrorAddresses[1]
	w.end(victim, syscall.SIGKILL)
	w.eventually("the killed mirror is out of the answers", shortly, func() bool {
		return slices.Equal(w.given(dns.TypeA), []string{mirrorAddresses[0], mirrorAddresses[2]})
	})
	if state := w.get("/api/v1/state"); !strings.Contains(state, "connection refused") {
		w.Errorf("the state does not say why the mirror is out:\n%s", state)
	}
	if metrics := w.get("/metrics"); !regexp.MustCompile(`(?m)^mirrorpool_target_up\{[^}]*127\.0\.0\.32[^}]*\} 0$`).MatchString(metrics) {
		w.Error("the metrics do not show the mirror down")
	}
	w.startMirror(victim)
	w.eventually("the mirror is back in the answers", shortly, func() bool {
		return slices.Equal(w.given(dns.TypeA), mirrorAddresses)
	})
}

func (w *world) weightZero() {
	w.edit("pools.json", `"weight": 20`, `"weight": 0`)
	commit := w.push("Disable three")
	// One poll of a second, its jitter, and the time to fetch.
	w.eventually("the commit is served", shortly, func() bool { return w.served() == commit })
	if got := w.given(dns.TypeA); !slices.Equal(got, mirrorAddresses[:2]) {
		w.Errorf("given: %v, want %v", got, mirrorAddresses[:2])
	}
	w.edit("pools.json", `"weight": 0`, `"weight": 20`)
	commit = w.push("Enable three")
	w.eventually("the commit is served", shortly, func() bool { return w.served() == commit })
}

// refused is what the state says of a commit that is not taken.
type refused struct {
	Source struct {
		Refused *struct {
			Commit   string `json:"commit"`
			Problems []struct {
				File string `json:"file"`
				Line int    `json:"line"`
			} `json:"problems"`
		} `json:"refused"`
	} `json:"source"`
}

func (w *world) brokenPush() {
	good, before := w.served(), w.given(dns.TypeA)
	w.edit("pools.json", `"answers": 2,`, `"answers": 2`)
	bad := w.push("Forget a comma")
	var state refused
	w.eventually("the state names the refused commit", shortly, func() bool {
		if err := json.Unmarshal([]byte(w.get("/api/v1/state")), &state); err != nil {
			w.Fatal(err)
		}
		return state.Source.Refused != nil && state.Source.Refused.Commit == bad
	})
	if problems := state.Source.Refused.Problems; len(problems) == 0 || problems[0].File != "pools.json" || problems[0].Line != 8 {
		w.Errorf("problems: %+v, want pools.json line 8", problems)
	}
	if metrics := w.get("/metrics"); !strings.Contains(metrics, "mirrorpool_commit_refused 1") {
		w.Error("the metrics do not show a refused commit")
	}
	if log := w.read(w.log("server")); !strings.Contains(log, bad) || !strings.Contains(log, "pools.json:8:") {
		w.Errorf("the log does not name the refused commit and the place:\n%s", lastLines(log, 10))
	}
	if w.served() != good || !slices.Equal(w.given(dns.TypeA), before) {
		w.Error("what is served has changed")
	}
	w.edit("pools.json", `"answers": 2`, `"answers": 2,`)
	commit := w.push("Mend the comma")
	w.eventually("the mended commit is served", shortly, func() bool { return w.served() == commit })
	if metrics := w.get("/metrics"); !strings.Contains(metrics, "mirrorpool_commit_refused 0") {
		w.Error("the metrics still show a refused commit")
	}
}

// nsid is the server's name in an answer.
func (w *world) nsid() string {
	question := new(dns.Msg)
	question.SetQuestion("dl.mirrors.test.", dns.TypeA)
	question.SetEdns0(1232, false)
	question.IsEdns0().Option = append(question.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	reply, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(question, fmt.Sprintf("127.0.0.1:%d", w.dnsPort))
	if err != nil {
		w.Fatal(err)
	}
	for _, option := range reply.IsEdns0().Option {
		if name, isName := option.(*dns.EDNS0_NSID); isName {
			return name.Nsid
		}
	}
	return ""
}

func (w *world) reload() {
	config := w.read(w.config)
	w.write("mirrorpool.yaml", strings.Replace(config, "nsid: first", "nsid: second", 1))
	if err := w.processes["server"].Process.Signal(syscall.SIGHUP); err != nil {
		w.Fatal(err)
	}
	w.eventually("the new NSID is answered", shortly, func() bool { return w.nsid() == fmt.Sprintf("%x", "second") })

	w.write("mirrorpool.yaml", strings.Replace(config, "nsid: first", "nsidd: third", 1))
	reload := exec.CommandContext(w.Context(), w.program, "reload", "--config", w.config)
	if output, err := reload.CombinedOutput(); reload.ProcessState.ExitCode() != exitUsage {
		w.Errorf("a reload with a mistake in the configuration: %v\n%s", err, output)
	}
	if err := w.processes["server"].Process.Signal(syscall.SIGHUP); err != nil {
		w.Fatal(err)
	}
	w.eventually("the log names the unknown key", shortly, func() bool { return strings.Contains(w.read(w.log("server")), "nsidd") })
	if got := w.nsid(); got != fmt.Sprintf("%x", "second") {
		w.Errorf("NSID after a reload with a mistake: %q", got)
	}
	w.write("mirrorpool.yaml", config)
	w.command(w.program, "reload", "--config", w.config)
}

// load has commits arrive while questions come at a steady rate: 2500 a second for seven
// seconds, and again until enough commits were served meanwhile, for a busy machine takes
// its time for each.
func (w *world) load() {
	const perSecond, questions = 2500, 17_500
	pushes, pushed, weight := testdraw.Cases(w.T, 5), 0, 20
	for round := 1; pushed < pushes; round++ {
		if round > 10 {
			w.Fatalf("%d commits were served in %d rounds, want %d", pushed, round-1, pushes)
		}
		load := w.startLoad(perSecond, questions)
		for loaded := true; loaded; {
			w.edit("pools.json", fmt.Sprintf(`"weight": %d }`+"\n      ]", weight), fmt.Sprintf(`"weight": %d }`+"\n      ]", weight+1))
			weight++
			commit := w.push(fmt.Sprintf("Weight %d", weight))
			w.eventually("the commit is served", 20*time.Second, func() bool { return w.served() == commit })
			select {
			case printed := <-load:
				loaded = false
				w.lostNothing(printed, questions)
			default:
				pushed++
			}
		}
	}
	w.Logf("%d commits were served under load", pushed)
}

// startLoad has dnsperf ask, and gives what it prints in the end.
func (w *world) startLoad(perSecond, questions int) <-chan string {
	var lines strings.Builder
	for i := range 100 {
		kind := "A"
		if i%4 == 3 {
			kind = "AAAA"
		}
		fmt.Fprintf(&lines, "dl.mirrors.test %s\n", kind)
	}
	load := exec.CommandContext(w.Context(), "dnsperf", "-s", "127.0.0.1", "-p", strconv.Itoa(w.dnsPort), "-d", w.write("questions.txt", lines.String()),
		"-n", strconv.Itoa(questions/100), "-Q", strconv.Itoa(perSecond), "-t", "5", "-c", "4")
	output := make(chan string, 1)
	go func() {
		printed, err := load.CombinedOutput()
		output <- fmt.Sprintf("%s%v", printed, err)
	}()
	return output
}

// lostNothing holds that dnsperf has got a good answer to each question.
func (w *world) lostNothing(printed string, questions int) {
	w.Helper()
	w.Log(printed)
	for _, wanted := range []string{
		fmt.Sprintf("Queries sent: %d", questions), `Queries lost: 0 `, fmt.Sprintf(`Response codes: NOERROR %d \(100\.00%%\)`, questions),
	} {
		pattern := regexp.MustCompile(strings.ReplaceAll(wanted, ": ", `:\s+`))
		if !pattern.MatchString(printed) {
			w.Errorf("dnsperf does not say %q", wanted)
		}
	}
}

func (w *world) remoteGone() {
	good := w.served()
	w.end("sshd", syscall.SIGKILL)
	if code := w.end("server", syscall.SIGTERM); code != 0 {
		w.Fatalf("after SIGTERM the server ended with code %d", code)
	}
	w.runServer()
	if got := w.served(); got != good {
		w.Errorf("served after a restart without the remote: %s, want %s", got, good)
	}
	if got := w.given(dns.TypeA); !slices.Equal(got, mirrorAddresses) {
		w.Errorf("given after a restart without the remote: %v", got)
	}
	w.eventually("the state says that the repository cannot be read", shortly, func() bool {
		return strings.Contains(w.get("/api/v1/state"), "connection refused")
	})
	w.startSSH()
	w.edit("mirrors.json", `"weight": 30`, `"weight": 31`)
	commit := w.push("After the remote came back")
	w.eventually("the next commit is served", 60*time.Second, func() bool { return w.served() == commit })
}

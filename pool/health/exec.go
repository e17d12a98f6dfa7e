package health

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"mirrorpool/pool"
)

const executing phase = "running the command"

// notLookedAt begins the words of a probe that was not made.
const notLookedAt = "not looked at: "

// programPath is where programs look for others.
const programPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Programs are what probes of rsync and exec start on this machine.
type Programs struct {
	// Rsync is the absolute path of the program; empty: there is none.
	Rsync string
	// Commands are the commands of exec probes by their names: the absolute path of a
	// program, and its arguments. Nobody writes to them afterwards.
	Commands map[string][]string
}

// startsProcess reports whether a probe may start a process.
func startsProcess(p pool.Probe) bool { return p.Kind == pool.CheckRsync || p.Kind == pool.CheckExec }

// exec runs a command of the node's configuration and believes its exit status. It is
// told of the target by its environment.
func (a *attempt) exec(ctx context.Context) (string, error) {
	name := a.target.Probe.Command
	command := a.programs().Commands[name]
	if len(command) == 0 {
		return a.notRun(fmt.Errorf("this node has no command %s in health.commands", quote([]byte(name))))
	}
	a.doing = executing
	one := process{path: command[0], arguments: command[1:], environment: execEnvironment(a.target), together: true}
	got, err := one.run(ctx)
	if _, ours := err.(notStarted); ours {
		return a.notRun(err)
	}
	a.result.ByProgram = true
	if err != nil {
		return "", err
	}
	words := fmt.Sprintf("exit status %d", got.status)
	a.step(stepCommand, words)
	said := lastOf(got.output)
	switch {
	case got.over:
		return "", fail(Failed, "command %s printed more than %d KiB, and was ended", quote([]byte(name)), maxPrinted>>10)
	case got.status < 0:
		return "", fail(Failed, "command %s was ended by a signal", quote([]byte(name)))
	case got.status == 0 && said == "":
		return words, nil
	case got.status == 0:
		return said, nil
	case said == "":
		return "", fail(Failed, "%s", words)
	}
	return "", fail(Failed, "%s: %s", words, said)
}

// notRun is the end of a probe whose command this machine cannot run: it says nothing of
// the target.
func (a *attempt) notRun(why error) (string, error) {
	a.unable(why)
	return notLookedAt + clip(why.Error()), nil
}

// unable notes that a program could not be started: one that is not here, or any, for
// want of what will be there again.
func (a *attempt) unable(why error) {
	a.result.NotMade, a.result.NoProgram = true, !exhausted(why)
}

// exhausted reports whether an error tells that this machine has not enough of something.
func exhausted(err error) bool {
	return explainShortage(err) != nil ||
		errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) // no process, no memory
}

// execEnvironment is what a command is told: where to look, and for how long at most.
func execEnvironment(t Target) []string {
	environment := []string{
		"PATH=" + programPath, "LC_ALL=C",
		"MIRRORPOOL_TIMEOUT=" + strconv.FormatFloat(timeoutOf(t).Seconds(), 'f', -1, 64),
	}
	add := func(name, value string) {
		if value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	if t.Address.IsValid() {
		add("MIRRORPOOL_ADDRESS", t.Address.String())
	}
	host := t.Probe.Host
	if t.URL != "" {
		add("MIRRORPOOL_URL", t.URL)
		if u, err := url.Parse(t.URL); err == nil {
			host = u.Hostname()
		}
	}
	add("MIRRORPOOL_HOST", host)
	if t.Probe.Port > 0 {
		add("MIRRORPOOL_PORT", strconv.Itoa(int(t.Probe.Port)))
	}
	return environment
}

// lastOf is the last line that is not empty, short and printable.
func lastOf(text []byte) string {
	text = []byte(strings.TrimSpace(string(text)))
	return clip(string(text[strings.LastIndexAny(string(text), "\r\n")+1:]))
}

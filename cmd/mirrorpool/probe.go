package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"mirrorpool/pool/health"
)

const probeHelp = `probe asks one mirror now, by the same checks as the server makes them, and says
what it finds: for members of a DNS pool with an ADDRESS and the pool's name as
--host, for mirrors of the HTTP pool with their url_prefix.

Each address is asked by itself, one after the other: connecting, the TLS
handshake, the status, and how old the trace at --path is; whether parts of files
can be had, and how fast the first --bytes of --file come; and with --rsync
whether the daemon has the file too. Without, it is told whether there is an rsync
daemon beside ports 80 and 443, and what modules it has. It needs neither a server
nor a configuration. With --config the node's resolver, rsync and commands are used.

The verdict is good if every address passes, but those of IPv6 where this machine
has none. Red flags are what somebody should know before the mirror is added. They
leave the verdict as it is, unless --strict is given:

    certificate    it ends within 14 days
    no IPv6        the name has no IPv6 address; no IPv4 likewise
    http only      asked over http at port 80, and there is no https
    slow           less than --floor came in a second
    no ranges      parts of files cannot be had: downloads begin anew
    redirects      it sends clients elsewhere
    HTTP/1.0       it answers in that version
    not looked at  this machine could not look, as without rsync

With --all DIR every member and mirror of a working tree is asked what its pool's
or redirect host's health check asks, those of weight 0 as well, 16 at a time.

Exit code 0: good; with --all everything that has a weight is. 1: not. 2: the command
line, or the configuration. Ctrl-C ends it at once; what is known by then is printed,
and the exit code is 1.

With --json one object is printed. Keys may be added to it, and none goes:

    verdict    "good", "bad", or "unfinished" if it was ended early
    reasons    what is wrong, in words
    red_flags  objects with flag and text
    target     the argument; host: the Host header, if it was given
    seconds    that it took
    resolve    of a URL's name: seconds, addresses, error
    probes     in their order, see below

Each probe has:

    what       "answer", "throughput", "ranges", "https", "integrity",
               "must_have", "rsync", "rsync daemon" or "exec"
    url        address: what was asked
    outcome    "success", "timeout", "resolution", "connection",
               "certificate", "protocol", "status", "content", "slow",
               "altered", "missing" or "failed"
    reason     the same in words
    judged     false: the verdict does not go by it
    seconds    status, http_version, bytes, bytes_per_second,
               certificate_expiry: what was seen, where it was
    steps      each with name, seconds and words

With --all it has verdict, directory, seconds, and mirrors, in the order of the tree:
objects with verdict, reasons, red_flags, probes, weight, seconds, and pool, member and
address, or host and url_prefix.`

func probeCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "probe {URL | ADDRESS[:PORT] --host NAME | --all DIR}",
		Short: "Ask one mirror now, or all of a working tree, and say whether it is good",
		Long:  probeHelp,
		Args:  cobra.MaximumNArgs(1),
		Example: `  mirrorpool probe 192.0.2.7 --host dl.example.org --file stable/image.img
  mirrorpool probe https://mirror.example/tails/ --rsync rsync://mirror.example/tails/
  mirrorpool probe --all . --fast`,
	}
	path := configFlag(command)
	var o probeOptions
	flags := command.Flags()
	flags.StringVar(&o.host, "host", "", "Host header and name in TLS: the pool's `NAME`; needed with an address")
	flags.IntVar(&o.port, "port", 0, "`PORT` at an address (default 80, or 443 with --https)")
	flags.BoolVar(&o.secure, "https", false, "ask an address over https")
	flags.StringVar(&o.path, "path", "project/trace", "`PATH` of the trace, below the URL; absent, with --host: also "+otherPath)
	flags.DurationVar(&o.maxAge, "max-age", 26*time.Hour, "how old the trace may be; 0: any file will do")
	flags.StringVar(&o.file, "file", "", "`PATH` of a large file, to measure how fast it comes")
	flags.Int64Var(&o.bytes, "bytes", 4<<20, "how much of it is fetched")
	flags.Int64Var(&o.floor, "floor", 200_000, "bytes a second under which it is slow")
	flags.StringVar(&o.rsync, "rsync", "", "rsync `URL` of the same tree, where --path has to be too")
	flags.BoolVar(&o.follow, "follow", false, "follow redirects")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "of each probe; of the throughput three times as long")
	flags.StringVar(&o.all, "all", "", "ask every member and mirror of the working tree in `DIR`")
	flags.BoolVar(&o.fast, "fast", false, "leave throughput and rsync out")
	flags.BoolVar(&o.strict, "strict", false, "red flags are no good either")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		changed := func(name string) bool { return command.Flags().Changed(name) }
		if err := o.check(arguments, changed); err != nil {
			return usageError{err}
		}
		asking, err := newAsking(changed("config"), *path)
		if err != nil {
			return err
		}
		if o.all != "" {
			return probeTree(command, o, asking)
		}
		return probeOne(command, o, asking)
	}
	return command
}

// asking is how this machine asks: as the server does, with what the configuration names.
type asking struct {
	resolver health.Resolver
	programs health.Programs
}

// newAsking reads the configuration if it is named.
func newAsking(named bool, path string) (asking, error) {
	a := asking{resolver: health.NewResolver("")}
	if !named {
		if rsync, err := exec.LookPath("rsync"); err == nil {
			a.programs.Rsync = rsync
		}
		return a, nil
	}
	config, err := loadConfig(path)
	if err != nil {
		return asking{}, err
	}
	a.programs = config.Health.programs()
	a.resolver = health.NewResolver(config.Health.Resolver)
	return a, nil
}

// prober is one that asks with the given resolver.
func (a asking) prober(resolver health.Resolver) *health.Prober {
	p := health.NewProber(health.Config{Resolver: resolver, UserAgent: "mirrorpool/" + programVersion()})
	p.SetPrograms(a.programs)
	return p
}

// probeOne asks one mirror, and prints what was found.
func probeOne(command *cobra.Command, o probeOptions, with asking) error {
	start := time.Now()
	found := o.ask(command.Context(), with)
	found.took = time.Since(start)
	found.judge(o.judging(time.Now()))
	out := command.OutOrStdout()
	var err error
	if o.json {
		err = printJSON(out, found.report(o))
	} else {
		err = printProbe(out, found)
	}
	if err != nil {
		return err
	}
	return found.exit(o.strict)
}

// exit is errNo unless all is good.
func (f *mirrorFound) exit(strict bool) error {
	if f.verdict != probeGood || strict && len(f.flags) > 0 {
		return errNo
	}
	return nil
}

// printJSON prints one object over several lines.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// Package health probes targets and publishes what it holds them for.
//
// A [Target] is an address of a pool's member, or a mirror's URL, with what is
// asked of it. A [Prober] asks every target once per interval over tcp, http,
// https or rsync, or by a command of this machine, counts failures and successes
// against the thresholds of its schedule, and publishes an immutable [Report]. It
// forgets nothing over a change of targets, and [Prober.Save] and [Prober.Restore]
// carry it over a restart.
//
// # Thresholds
//
// The first probe of an unknown target decides at once, but for a failed one of a target
// that is asked less often than once a minute, as inspections are: it would keep the
// target down for an hour or more. Such a target is asked again every ten seconds, and is
// down after DownAfter failures. Meanwhile it stays unknown, and so does a member that is
// inspected: what has not passed yet may be what the member lacks, and where nobody knows,
// others are better. So that a new inspection takes nobody out of the answers by a single
// error, [Prober.WaitKnown] waits for the verdict. After that:
//
//   - Every failed probe adds one to the failures; a successful one takes
//     nothing away, but UpAfter successes in a row clear them. A target that is
//     up turns down with the failure that makes them DownAfter. A target that
//     answers one time in three is thus taken down, and one that fails now and
//     then, with UpAfter successes between, stays up.
//   - Every successful probe adds one to the successes in a row; a failed one
//     clears them. A target that is down turns up with the success that makes
//     them UpAfter, and begins without failures.
//   - Both are counted no further than their threshold.
//
// A probe that was cut short because Run ends, or because its target left, is
// no failure: it is forgotten.
//
// # Freezes
//
// A machine whose own network is broken sees everything fail. So failures of an
// address family do not count, and successes do, from when more than half of its
// addresses that were up have begun to fail within one round. An address fails when
// all fails that is asked of it as often as anything, and nothing has answered since.
//
//   - With control addresses ([Prober.SetControl]) these are asked first, and what
//     would go down meanwhile waits for them: if one can be connected to, the failures
//     count. They know nothing of clocks and names: where the clock was set and most
//     fail by what it says, or most fail because their names are not resolved, it is as
//     without control addresses.
//   - Without, at least five addresses have to have been up.
//   - What went down by these failures is taken back ([Observation.TakenBack]).
//   - It ends when no more than half of the addresses fail, for one round; when a
//     control address answers twice in a row; or, while others of the family answer,
//     after ten rounds. Failures count from zero then, but for that last case, where
//     what still fails goes down with its next probe.
//
// A round is the time in which more than half of the addresses are asked. Those that
// are asked less often are asked sooner once when most others fail, and when a freeze
// begins. Mirrors belong to the family of the address that they led to last; one
// that never led anywhere is frozen only while all families are.
//
// # Schedule
//
// Every target has a phase of its own within its interval, drawn when it first
// appears, and is started once per interval at that phase, moved by a jitter of
// at most a twentieth of the interval either way. New targets are probed at
// once, as fast as the rate of all probes permits, and join their phase with
// their second probe, half to one and a half intervals later. The next start is
// counted from the last start, not from its end; a target is never probed twice
// at the same time. Where there are more targets than the rate permits, those
// that wait longest go first and the intervals grow. The schedule follows the
// monotonic clock. After the machine has stood still, what was missed is spread over
// a minute, and failures of probes that were under way count for nothing; when the wall
// clock is set, [State.Returned] and [State.Change] move with it.
//
// # Processes
//
// Files of rsync daemons are listed by the program rsync, and exec targets are
// looked at by commands that [Prober.SetPrograms] names. Both run without a shell,
// a terminal or input, with an environment of their own, and are ended with all
// that they have started when their time is over. At most 16 run at the same time;
// targets that wait for a place hold nobody else up. Where this machine cannot
// start one, the probe is a success, and [Result.NotMade] says so: no target goes
// down for what a node lacks, and none that such a program took down comes up for it.
//
// Where this machine has no file descriptors or ports left, a probe is not made either,
// of whatever kind.
//
// # Files
//
// Beyond an answer, an http or https target can be asked how fast a part of a file
// comes, whether a file is what its origin has or has its published hash, and
// whether files are there. What stands besides the target, an origin or an index of
// files, never takes it down: without it the probe has [Result.NotMade],
// and moves nothing. A target of which nothing is known stays unknown, and is soon asked
// again; an index that was read stands for a day. All that is read, of whomever, is
// bounded; redirects lead no further than those of other probes. No more than two probes of throughput and integrity are under way at the
// same time, since they would take each other's part of this machine's network.
//
// The package imports package pool and nothing else of this program, writes no
// log, and reads no proxy from the environment.
package health

// Package history remembers for a year what the checks have found, in an SQLite database.
//
// A [History] is told of every probe. It keeps incidents, which are the times at which a
// target was down, with what was seen then; how fast the target answered and delivered, and
// its single errors, by day; and how long each address of a member, or each mirror, was up
// and down, by day. Time in which nothing was probed, or in which failures were taken for
// this machine's own, is neither. [History.Look] gives it for the members that a pattern
// names, with red flags and with what the administrators' runbook says of them.
//
// # What is promised
//
//   - [History.Observe] never waits for the disk.
//   - A full disk or a damaged file costs history and nothing else. While nothing can be
//     written, what is found waits in memory within bounds, and what goes beyond them is
//     counted; writing is tried again with growing pauses. A damaged file is put aside under
//     another name, and a new one is begun.
//   - An incident that has been written is there after a crash: its transaction is on the
//     disk before it counts as written.
//   - The file has at most a year of history, and no more rows and bytes than [Options] say;
//     the oldest goes first.
//   - It names mirrors and their addresses. It knows nothing of clients.
//
// # The file
//
// Times are milliseconds since 1970, days are days since 1970 in UTC, durations of probes
// are microseconds. PRAGMA user_version is the version of the tables; older ones are brought
// up to date when the file is opened, and newer ones are left alone.
//
// The package imports packages pool and health and nothing else of this program, and writes
// no log.
package history

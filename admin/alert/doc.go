// Package alert tells people what they have to know: that a mirror is down and
// back up, that a commit is refused, that a part of the program fails.
//
// A [Center] holds what is wrong now, each trouble under a key. Whoever finds out
// calls [Center.Report], [Center.Resolve] or [Center.Settle], which never wait for
// anybody. [Center.Run] compares what is with what each [Way] was told, and sends the
// difference: by webhook, by mail, or to a program.
//
//   - What comes within Way.Wait is one message, and there are no more than Way.AtMost.
//     What is held back is in the next message, as it is by then.
//   - Nothing counts as told before it is delivered. A receiver that is gone is tried
//     again, later and later, and hears of what is so when it is back; what has come and
//     gone meanwhile it never hears of. It holds up nobody else.
//   - Who was told of a trouble is told of its end, and nobody else is.
//   - A trouble that has begun several times within an hour is told of once, as one that
//     comes and goes, and again once it has been quiet.
//   - A trouble that lasts is told of again after Way.Repeat.
//   - What was told is kept (Config.Keep), so that a restart repeats nothing and forgets
//     no end.
//   - There is room for 16,384 troubles; those beyond it are counted, and not told.
//
// The package imports no other package of this program, and writes no log.
package alert

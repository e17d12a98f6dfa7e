// Package gitsource follows one branch of a remote Git repository and yields
// its head as a Revision, a commit with its files. It knows Git and nothing of
// what the files mean: whoever runs it says whether a revision is good. The
// last good one is kept on disk, so that it is there after a restart with the
// remote gone.
//
// It imports no other package of this program.
//
// # Remotes
//
// A remote is an absolute path, or a file://, git://, http://, https:// or
// ssh:// URL, or user@host:path. Everything that goes over a network is dialled
// here, directly or through the configured SOCKS5 proxy, which is then the one
// that resolves the name. No proxy of the environment, no SSH agent, and no
// setting of a user's SSH or Git configuration has a say.
//
// For a local repository "git upload-pack" is run, in an environment of our own
// and under the ownership rule of Git's safe.directory. It reads the Git
// configuration of the system and the user, where that setting is, but runs no
// command of theirs, nor anything in the repository; and what it sends is
// treated like any other remote's.
//
// # Bounds
//
// A look at the remote ends within Config.Timeout, also while the other side
// is silent: every connection has that deadline and is closed at it, and a
// local process is killed. No more than Config.MaxBytes are read, no object is
// unpacked before its size has been counted, and only the head commit's own
// objects are asked for (depth 1, one branch, no tags). One connection serves
// for both questions, where the head is and what it holds; the second is asked
// only when the head has moved.
//
// # Content
//
// Revision.Files holds the regular files of the commit. Submodules and
// symbolic links are left out; nothing follows them. A commit that is too large
// or has names that no fs.FS can hold is refused like one that the caller
// refuses: it is not asked for again until the head moves or Poke is called.
package gitsource

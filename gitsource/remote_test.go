package gitsource

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func isError(err, kind error) bool { return errors.Is(err, kind) }

var poolFiles = map[string]string{
	"mirrors.json":            `{"mirrors": []}`,
	"zones/example.test.zone": "@ IN SOA ns1 hostmaster 1 2 3 4 5\n",
	"a/b/c/deep":              strings.Repeat("deep ", 1000),
}

// followed checks that a remote's branch is seen, fetched, and not fetched
// again.
func followed(t *testing.T, r *repository, config Config) {
	t.Helper()
	for _, files := range []map[string]string{poolFiles, {"mirrors.json": "[]"}} {
		want := r.commit("main", files)
		head, found, err := lookAt(t, config)
		if err != nil {
			t.Fatal(err)
		}
		revision := mustRevision(t, found)
		if head != want || revision.Commit != want {
			t.Errorf("head %s, commit %s, want %s", head, revision.Commit, want)
		}
		if diff := cmp.Diff(files, filesOf(t, revision.Files)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if head, found, err = lookAt(t, config, want); err != nil || head != want || found != nil {
			t.Errorf("a look at a known head: %s, fetched %v, error %v", head, found != nil, err)
		}
	}
}

func TestLocalRemote(t *testing.T) {
	r := newRepository(t)
	for name, url := range map[string]string{"path": r.path, "URL": "file://" + r.path} {
		t.Run(name, func(t *testing.T) { followed(t, r, Config{URL: url, Branch: "main"}) })
	}
	t.Run("revision", func(t *testing.T) {
		commit := r.commit("main", poolFiles)
		_, found, err := lookAt(t, Config{URL: r.path})
		if err != nil {
			t.Fatal(err)
		}
		revision := mustRevision(t, found)
		names := make([]string, 0, len(poolFiles))
		for name := range poolFiles {
			names = append(names, name)
		}
		if err := fstest.TestFS(revision.Files, names...); err != nil {
			t.Error(err)
		}
		revision.Files = nil
		want := &Revision{
			Commit:  commit,
			Time:    time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
			Author:  "Ada Author <ada@test.invalid>",
			Subject: "Change the pool",
		}
		if diff := cmp.Diff(want, revision); diff != "" {
			t.Errorf("revision (-want +got):\n%s", diff)
		}
	})
}

// A pack of many similar files has deltas in it.
func TestPackWithDeltas(t *testing.T) {
	r := newRepository(t)
	files := make(map[string]string)
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "line %d of a long file\n", i*i)
	}
	for i := range 50 {
		files[fmt.Sprintf("file%d", i)] = text.String() + strconv.Itoa(i)
	}
	r.commit("main", files)
	r.git("repack", "-adfq", "--depth=20", "--window=30")
	_, found, err := lookAt(t, Config{URL: r.path})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, filesOf(t, mustRevision(t, found).Files)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestGitDaemonRemote(t *testing.T) {
	r := newRepository(t)
	url := r.gitDaemon()
	followed(t, r, Config{URL: url, Branch: "main"})
	_, _, err := lookAt(t, Config{URL: url + "nope", Branch: "main"})
	wantError(t, err, []string{"mirrors.gitnope"})
}

func TestRewoundBranchIsFollowed(t *testing.T) {
	r := newRepository(t)
	config := Config{URL: r.gitDaemon(), Branch: "main"}
	first := r.commit("main", map[string]string{"file": "1"})
	second := r.commit("main", map[string]string{"file": "2"})
	for _, want := range []string{second, first} {
		r.git("update-ref", "refs/heads/main", want)
		_, found, err := lookAt(t, config)
		if err != nil {
			t.Fatal(err)
		}
		if got := mustRevision(t, found).Commit; got != want {
			t.Errorf("fetched %s, want %s", got, want)
		}
	}
}

func TestBranches(t *testing.T) {
	r := newRepository(t)
	_, _, err := lookAt(t, Config{URL: r.path, Branch: "main"})
	wantError(t, err, []string{r.path, "is empty", "push a commit to main"}, ErrRepositoryEmpty)
	_, _, err = lookAt(t, Config{URL: r.gitDaemon()})
	wantError(t, err, []string{"is empty", "default branch"}, ErrRepositoryEmpty)

	for i := range 8 {
		r.commit(fmt.Sprintf("topic%d", i), poolFiles)
	}
	_, _, err = lookAt(t, Config{URL: r.path, Branch: "main"})
	wantError(t, err, []string{`no branch "main"`, "topic0, topic1, topic2, topic3, topic4 and 3 more"}, ErrBranchMissing)
	_, _, err = lookAt(t, Config{URL: r.path})
	wantError(t, err, []string{"HEAD", "topic0"}, ErrBranchMissing)
	if _, found, err := lookAt(t, Config{URL: r.path, Branch: "topic3"}); err != nil || found == nil {
		t.Errorf("a branch that is there: %v", err)
	}
}

func TestLocalTroubles(t *testing.T) {
	r := newRepository(t)
	r.commit("main", poolFiles)
	t.Run("nothing there", func(t *testing.T) {
		_, _, err := lookAt(t, Config{URL: filepath.Dir(r.path) + "/other.git"})
		wantError(t, err, []string{"other.git", "no such file"}, fs.ErrNotExist)
	})
	t.Run("no repository", func(t *testing.T) {
		_, _, err := lookAt(t, Config{URL: t.TempDir()})
		wantError(t, err, []string{"no Git repository at"})
	})
	t.Run("SHA-256", func(t *testing.T) {
		other := &repository{t: t, path: filepath.Join(t.TempDir(), "other.git")}
		run(t, "", "git", "init", "-q", "--bare", "--object-format=sha256", "-b", "main", other.path)
		other.commit("main", poolFiles)
		_, _, err := lookAt(t, Config{URL: other.path})
		wantError(t, err, []string{"SHA-256", "git init --object-format=sha1"})
	})
	t.Run("no git program", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, _, err := lookAt(t, Config{URL: r.path})
		wantError(t, err, []string{"git program", "install the package git"})
	})
	t.Run("other owner", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("only root can give files away")
		}
		err := filepath.WalkDir(r.path, func(name string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(name, 65534, 65534))
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = lookAt(t, Config{URL: r.path})
		wantError(t, err, []string{"another user", "safe.directory " + r.path}, ErrAuthentication)
	})
}

// A local repository's configuration must not make us run anything, nor must the
// user's or the system's.
func TestLocalRepositoryRunsNothing(t *testing.T) {
	r := newRepository(t)
	r.commit("main", poolFiles)
	mark := filepath.Join(t.TempDir(), "mark")
	script := filepath.Join(t.TempDir(), "script")
	write(t, script, "#!/bin/sh\ntouch "+mark+"\nexit 1\n", 0o755)
	for _, key := range []string{"uploadpack.packObjectsHook", "core.alternateRefsCommand", "core.fsmonitor", "core.sshCommand", "core.gitProxy"} {
		r.git("config", key, script)
	}
	for _, hook := range []string{"post-upload-pack", "pre-upload-pack", "reference-transaction"} {
		write(t, filepath.Join(r.path, "hooks", hook), "#!/bin/sh\ntouch "+mark+"\n", 0o755)
	}
	look := func(whose string) {
		t.Helper()
		if _, found, err := lookAt(t, Config{URL: r.path}); err != nil || found == nil {
			t.Fatalf("with a command of %s: %v", whose, err)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Fatalf("a command of %s was run", whose)
		}
	}
	look("the repository")
	configuration := filepath.Join(t.TempDir(), "config")
	write(t, configuration, "[uploadpack]\n\tpackObjectsHook = "+script+"\n", 0o600)
	for whose, variable := range map[string]string{"the user": "GIT_CONFIG_GLOBAL", "the system": "GIT_CONFIG_SYSTEM"} {
		t.Setenv(variable, configuration)
		look(whose)
		t.Setenv(variable, "/dev/null")
	}
}

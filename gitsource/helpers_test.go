package gitsource

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorpool/testport"
)

// need skips the test without the program, except where it has to be there.
func need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	found, err := exec.LookPath(program)
	if err != nil {
		found = filepath.Join("/usr/sbin", program)
		_, err = os.Stat(found)
	}
	switch {
	case err == nil:
		return found
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing: install the package %s", program, debianPackage)
	}
	t.Skipf("%s is missing: install the package %s", program, debianPackage)
	return ""
}

// gitEnvironment keeps the user's configuration out.
func gitEnvironment() []string {
	return append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME=/nonexistent", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ada Author", "GIT_AUTHOR_EMAIL=ada@test.invalid", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME=Carl Committer", "GIT_COMMITTER_EMAIL=carl@test.invalid", "GIT_COMMITTER_DATE=2026-02-03T04:05:06Z",
	)
}

// repository is a bare repository made with the git program.
type repository struct {
	t    *testing.T
	path string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	need(t, "git", "git")
	t.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	t.Setenv("GIT_CONFIG_SYSTEM", "/dev/null")
	r := &repository{t: t, path: filepath.Join(t.TempDir(), "mirrors.git")}
	run(t, "", "git", "init", "-q", "--bare", "-b", "main", r.path)
	return r
}

func run(t *testing.T, input, program string, arguments ...string) string {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Env = gitEnvironment()
	command.Stdin = strings.NewReader(input)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, complaints.String())
	}
	return strings.TrimSpace(string(out))
}

func (r *repository) git(arguments ...string) string {
	r.t.Helper()
	return run(r.t, "", "git", append([]string{"-C", r.path}, arguments...)...)
}

// blob stores a file's content and returns its name.
func (r *repository) blob(content string) string {
	r.t.Helper()
	return run(r.t, content, "git", "-C", r.path, "hash-object", "-w", "--stdin")
}

// tree stores a directory from lines such as "100644 blob NAME\tfile".
func (r *repository) tree(lines ...string) string {
	r.t.Helper()
	return run(r.t, strings.Join(lines, "\x00")+"\x00", "git", "-C", r.path, "mktree", "-z", "--missing")
}

// commitTree makes a tree the head of a branch.
func (r *repository) commitTree(branch, tree, message string, parents ...string) string {
	r.t.Helper()
	arguments := []string{"commit-tree", "-m", message, tree}
	for _, parent := range parents {
		arguments = append(arguments, "-p", parent)
	}
	commit := r.git(arguments...)
	r.git("update-ref", "refs/heads/"+branch, commit)
	return commit
}

// commit makes the files, which may lie in directories, the head of a branch.
func (r *repository) commit(branch string, files map[string]string) string {
	r.t.Helper()
	work := r.t.TempDir()
	for name, content := range files {
		full := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	index := filepath.Join(r.t.TempDir(), "index")
	in := func(arguments ...string) string {
		command := exec.Command("git", append([]string{"--git-dir", r.path, "--work-tree", work}, arguments...)...)
		command.Env = append(gitEnvironment(), "GIT_INDEX_FILE="+index)
		out, err := command.Output()
		if err != nil {
			r.t.Fatalf("git %v: %v", arguments, err)
		}
		return strings.TrimSpace(string(out))
	}
	in("add", "-A")
	return r.commitTree(branch, in("write-tree"), "Change the pool\n\nWith a reason.")
}

// gitDaemon serves a repository with git:// and returns its URL.
func (r *repository) gitDaemon() string {
	r.t.Helper()
	port := int(testport.Unused(r.t))
	start(r.t, "git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1",
		fmt.Sprintf("--port=%d", port), "--base-path="+filepath.Dir(r.path), filepath.Dir(r.path))
	awaitPort(r.t, port)
	return fmt.Sprintf("git://127.0.0.1:%d/%s", port, filepath.Base(r.path))
}

func write(t *testing.T, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

// lookAt makes one look at a remote, knowing the given commits.
func lookAt(t *testing.T, config Config, knownCommits ...string) (string, *content, error) {
	t.Helper()
	config.StateDir = "/nonexistent"
	if err := config.Validate(); err != nil {
		t.Fatalf("the configuration is refused: %v", err)
	}
	if config.Timeout == 0 {
		config.Timeout = 2 * time.Minute
	}
	r, err := newRemote(config.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), config.Timeout)
	defer cancel()
	return r.look(ctx, func(commit string) bool {
		for _, known := range knownCommits {
			if commit == known {
				return true
			}
		}
		return false
	})
}

// filesOf lists a file system as name -> content.
func filesOf(t *testing.T, files fs.FS) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			t.Errorf("%s is not a regular file", name)
		}
		text, err := fs.ReadFile(files, name)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func mustRevision(t *testing.T, c *content) *Revision {
	t.Helper()
	if c == nil {
		t.Fatal("nothing was fetched")
	}
	r, err := c.revision()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantError checks an error's text, and that it is each of the given errors.
func wantError(t *testing.T, err error, texts []string, kinds ...error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q:\n%s", text, err)
		}
	}
	for _, kind := range kinds {
		if !isError(err, kind) {
			t.Errorf("the error is not %q:\n%s", kind, err)
		}
	}
}

package main

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed demodata
var demoData embed.FS

// makeRepository writes the node's configuration, a working tree and the bare
// repository that the server follows.
func (d *demonstration) makeRepository(ctx context.Context) error {
	if err := d.git(ctx, d.Directory, "init", "--quiet", "--bare", "--initial-branch=main", d.Remote); err != nil {
		return err
	}
	if err := d.git(ctx, d.Directory, "clone", "--quiet", d.Remote, d.Checkout); err != nil {
		return err
	}
	if err := d.fill("demodata/repository", d.Checkout); err != nil {
		return err
	}
	if err := d.fillFile("demodata/nets.json", d.Nets); err != nil {
		return err
	}
	if err := d.fillFile("demodata/mirrorpool.yaml", d.Config); err != nil {
		return err
	}
	settings := [][]string{{"user.name", "Demonstration"}, {"user.email", "demo@localhost"}}
	for _, setting := range settings {
		if err := d.git(ctx, d.Checkout, "config", setting[0], setting[1]); err != nil {
			return err
		}
	}
	for _, arguments := range [][]string{
		{"checkout", "--quiet", "-B", "main"},
		{"add", "."},
		{"commit", "--quiet", "-m", "The mirrors of the demonstration"},
		{"push", "--quiet", "origin", "main"},
	} {
		if err := d.git(ctx, d.Checkout, arguments...); err != nil {
			return err
		}
	}
	return nil
}

// git runs git apart from the user's own configuration.
func (d *demonstration) git(ctx context.Context, directory string, arguments ...string) error {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Dir = directory
	command.Env = gitEnvironment()
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// gitEnvironment is this process's without what would lead git to another
// repository, such as GIT_DIR in a hook.
func gitEnvironment() []string {
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "GIT_") })
	return append(environment, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0")
}

// fill writes the sample's files with ports and addresses in place.
func (d *demonstration) fill(from, to string) error {
	return fs.WalkDir(demoData, from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return d.fillFile(path, filepath.Join(to, relative))
	})
}

func (d *demonstration) fillFile(from, to string) error {
	sample, err := template.ParseFS(demoData, from)
	if err != nil {
		return fmt.Errorf("reading the sample: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("writing the sample: %w", err)
	}
	file, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("writing the sample: %w", err)
	}
	if err := sample.Execute(file, d); err != nil {
		return fmt.Errorf("writing %s: %w", to, err)
	}
	return file.Close()
}

// printGuide prints what to type.
func (d *demonstration) printGuide(out io.Writer) {
	guide, err := template.ParseFS(demoData, "demodata/guide.txt")
	if err == nil {
		err = guide.Execute(out, d)
	}
	if err != nil {
		fmt.Fprintf(out, "the guide cannot be printed: %v\n", err)
	}
}

// BerlinProcess is the process of the mirror that the guide suspends.
func (d *demonstration) BerlinProcess() int {
	for _, mirror := range d.Mirrors {
		if mirror.address == demoMirrorAddresses[0] {
			return mirror.process.Process.Pid
		}
	}
	return 0
}

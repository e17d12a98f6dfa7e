package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mirrorpool/pool"
	"mirrorpool/zones"
)

func checkCommand() *cobra.Command {
	var quiet bool
	var published *[]string
	var path *string
	command := &cobra.Command{
		Use:   "check DIR",
		Short: "Say whether a working tree would be taken by the server",
		Long: `check reads a working tree of the mirrors repository as the server reads a
commit, and prints every problem with file, line and column. It needs neither a
server nor a configuration file, so that it serves in Git hooks and in CI. Only
pools that the nodes publish in zones elsewhere have to be named, by --published
or by the node's configuration with --config.

Exit code 0: the tree would be taken (there may be warnings). 1: it would be
refused. What only the running server knows is not checked: how much capacity
a commit would remove compared with the one that is served, and what addresses
the host names of members have.`,
		Args: cobra.ExactArgs(1),
		Example: `  mirrorpool check .

  # .git/hooks/pre-commit
  exec mirrorpool check --quiet "$(git rev-parse --show-toplevel)"`,
		RunE: func(command *cobra.Command, arguments []string) error {
			directory := arguments[0]
			if command.Flags().Changed("config") {
				config, err := loadConfig(*path)
				if err != nil {
					return err
				}
				*published = append(*published, config.publishedPools()...)
				if !quiet {
					config.printUnused(command.ErrOrStderr())
				}
			}
			if err := isDirectory(directory); err != nil {
				return err
			}
			return printVerdict(command.OutOrStdout(), os.DirFS(directory), quiet, *published...)
		},
	}
	command.Flags().BoolVarP(&quiet, "quiet", "q", false, "print errors only")
	published = publishedFlag(command)
	path = configFlag(command)
	return command
}

// publishedFlag names pools of a working tree that lie in none of its zones.
func publishedFlag(command *cobra.Command) *[]string {
	return command.Flags().StringArray("published", nil, "a pool's `NAME` that lies in none of the zones, because nodes publish it elsewhere; may be given again")
}

// printVerdict prints what the server would say of the files.
func printVerdict(out io.Writer, files fs.FS, quiet bool, published ...string) error {
	content, problems := readRepository(files, published...)
	for _, problem := range problems {
		if quiet && problem.Severity != pool.Error {
			continue
		}
		fmt.Fprintln(out, problem)
	}
	if content == nil {
		return errNo
	}
	if !quiet {
		printUnresolved(out, content.definition)
		fmt.Fprintln(out, "ok:", content.summary())
	}
	return nil
}

// printUnresolved says of which members no addresses are known without the network.
func printUnresolved(out io.Writer, definition *pool.Definition) {
	const most = 5
	var names []string
	for _, name := range definition.HostNames() {
		names = append(names, name.Name)
	}
	if len(names) == 0 {
		return
	}
	text := strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	fmt.Fprintln(out, "note: host names of members are resolved by the nodes, and not here:", text)
}

func isDirectory(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return usageError{fmt.Errorf("looking for the working tree: %w", err)}
	}
	if !info.IsDir() {
		return usageError{fmt.Errorf("%s is not a directory: name the working tree that holds pools.json or mirrors.json", path)}
	}
	return nil
}

// content is what a commit says, read and found good.
type content struct {
	definition *pool.Definition
	static     *zones.Static
	warnings   []pool.Problem
}

// readRepository reads the files of a commit or working tree, and reports all
// that is wrong with them in one go. The content is nil if any of the problems
// is an error.
//
// The pools named may lie in no zone: they are published elsewhere.
func readRepository(files fs.FS, published ...string) (*content, []pool.Problem) {
	return readRepositoryWith(files, func(*pool.Definition) []string { return published })
}

// readRepositoryWith takes a panic, which is a mistake of ours, for one of the
// problems: content that brings one to light must not end a server.
func readRepositoryWith(files fs.FS, published func(*pool.Definition) []string) (read *content, problems []pool.Problem) {
	err := guarded("reading the repository", func() error {
		read, problems = readFiles(files, published)
		return nil
	})
	var panicked *panicError
	if errors.As(err, &panicked) {
		return nil, []pool.Problem{panicked.problem()}
	}
	return read, problems
}

func readFiles(files fs.FS, published func(*pool.Definition) []string) (*content, []pool.Problem) {
	definition, problems := pool.Inspect(files)
	static, zoneProblems := zones.Parse(definition, published(definition)...)
	problems = append(problems, zoneProblems...)
	pool.SortProblems(problems)
	if static == nil || pool.HasErrors(problems) {
		return nil, problems
	}
	// Nobody has seen the definition yet. The text of its zones has been read,
	// and may be large.
	for i := range definition.Zones {
		definition.Zones[i].Data = nil
	}
	return &content{definition: definition, static: static, warnings: problems}, problems
}

func poolNames(definition *pool.Definition) []string {
	names := make([]string, len(definition.Pools))
	for i, one := range definition.Pools {
		names[i] = one.Name
	}
	return names
}

func (c *content) summary() string {
	members := 0
	for _, one := range c.definition.Pools {
		members += len(one.Members)
	}
	mirrors := 0
	for _, list := range c.definition.MirrorLists {
		mirrors += len(list.Mirrors)
	}
	return fmt.Sprintf("zones %d, pools %d with members %d, redirect hosts %d, mirrors %d",
		len(c.definition.Zones), len(c.definition.Pools), members, len(c.definition.Redirects), mirrors)
}

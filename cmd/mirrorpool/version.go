package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"mirrorpool/pool/geo"
)

// version is set by the Makefile from the Git description of the tree.
var version = ""

// programVersion is the version for people: from the build's flags, else from
// what the Go command wrote into the binary.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "unreleased"
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and the date and licence of the embedded geo data",
		RunE: func(command *cobra.Command, _ []string) error {
			out := command.OutOrStdout()
			fmt.Fprintf(out, "mirrorpool %s (%s, %s/%s)\n", programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			_, database, err := geo.Embedded()
			if err != nil {
				return fmt.Errorf("reading the embedded country data: %w", err)
			}
			fmt.Fprintf(out, "embedded country data: %s\n", describeDatabase(database))
			return nil
		},
	}
}

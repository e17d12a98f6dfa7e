package main

import (
	"github.com/spf13/cobra"

	"mirrorpool/pool"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "schema mirrors|pools",
		Short:     "Print the JSON Schema of mirrors.json or pools.json",
		ValidArgs: []string{"mirrors", "pools"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		Example: `  # Let an editor check pools.json while it is written:
  mirrorpool schema pools > pools.schema.json`,
		RunE: func(command *cobra.Command, arguments []string) error {
			schema, err := pool.Schema(arguments[0])
			if err != nil {
				return usageError{err}
			}
			_, err = command.OutOrStdout().Write(schema)
			return err
		},
	}
}

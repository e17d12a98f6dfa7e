package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func reloadCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "reload",
		Short: "Make the running server read its configuration and look at the repository now",
		Long: `reload does what SIGHUP does, and says whether the configuration was taken. A
configuration with a mistake changes nothing and is not even sent to the server
(exit code 2); one that the server cannot follow, such as an address that it
cannot bind, changes nothing either (exit code 1). It looks for the server at
the admin address in the file: change that by a restart.`,
	}
	path := configFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		client := config.client()
		if _, err := client.do(command.Context(), http.MethodPost, "/api/v1/reload", nil); err != nil {
			return err
		}
		config.printUnused(command.ErrOrStderr())
		fmt.Fprintln(command.OutOrStdout(), "configuration read; looking at the repository")
		return nil
	}
	return command
}

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
configuration with a mistake changes nothing (exit code 1).`,
	}
	path := configFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		client, err := newClient(*path)
		if err != nil {
			return err
		}
		if _, err := client.do(command.Context(), http.MethodPost, "/api/v1/reload", nil); err != nil {
			return err
		}
		fmt.Fprintln(command.OutOrStdout(), "configuration read; looking at the repository")
		return nil
	}
	return command
}

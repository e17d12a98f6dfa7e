package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
)

func serveCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "serve",
		Short: "Follow the repository, check the mirrors, answer DNS and redirect HTTP",
		Long: `serve runs the server in the foreground until SIGTERM or SIGINT; questions in
flight are still answered. SIGHUP reads the configuration again and looks at
the repository at once; a configuration with a mistake changes nothing.`,
		Example: `  mirrorpool serve --config /etc/mirrorpool/mirrorpool.yaml`,
	}
	path := configFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		// From here on, not only once all is up: a hangup must not end it.
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		boundGarbage()
		config, err := loadConfig(*path)
		if err != nil {
			return err
		}
		node, err := newNode(*path, config, command.ErrOrStderr())
		if err != nil {
			return usageError{err}
		}
		shareCores()
		return runNode(command.Context(), node, hangups)
	}
	return command
}

// runNode runs a node and tells the service manager of it.
func runNode(ctx context.Context, n *node, hangups <-chan os.Signal) error {
	n.whenReady = func() { n.notify(daemon.SdNotifyReady) }
	defer context.AfterFunc(ctx, func() { n.notify(daemon.SdNotifyStopping) })()
	return n.run(ctx, hangups)
}

// notify tells the service manager, if one listens.
func (n *node) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.logger.Warn().Err(fmt.Errorf("telling the service manager %q: %w", state, err)).Msg("serving goes on")
	}
}

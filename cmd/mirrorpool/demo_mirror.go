package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// demoMirrorCommand is one small mirror of the demonstration.
func demoMirrorCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "mirror ADDRESS:PORT",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			listener, err := net.Listen("tcp", arguments[0])
			if err != nil {
				return fmt.Errorf("mirror: %w", err)
			}
			ctx, cancel := context.WithCancel(command.Context())
			defer cancel()
			go func() {
				// The end of standard input is the end of the demonstration.
				_, _ = io.Copy(io.Discard, command.InOrStdin())
				cancel()
			}()
			return serveMirror(ctx, listener)
		},
	}
}

// serveMirror serves a fresh trace file and a small download until ctx ends.
func serveMirror(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tails/project/trace", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, strconv.FormatInt(time.Now().Unix(), 10))
	})
	mux.HandleFunc("GET /tails/{file...}", func(w http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(w, "%s from the mirror on %s\n", request.PathValue("file"), listener.Addr())
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("mirror: %w", err)
	}
	return nil
}

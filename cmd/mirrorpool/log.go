package main

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// logOutput writes what is at least of the configured level, in the configured
// format; a reload changes both.
type logOutput struct {
	out      io.Writer
	settings atomic.Pointer[logSettings]
}

type logSettings struct {
	level  zerolog.Level
	writer io.Writer
}

// newLogger makes the one logger of a server. Client addresses never reach it.
func newLogger(out io.Writer, config logConfig) (zerolog.Logger, *logOutput) {
	output := &logOutput{out: zerolog.SyncWriter(out)}
	output.configure(config)
	return zerolog.New(output).With().Timestamp().Logger(), output
}

// configure takes a validated configuration.
func (o *logOutput) configure(config logConfig) {
	level, err := zerolog.ParseLevel(config.Level)
	if err != nil {
		level = zerolog.InfoLevel
	}
	settings := &logSettings{level: level, writer: o.out}
	if config.Format == "text" {
		settings.writer = zerolog.ConsoleWriter{Out: o.out, TimeFormat: time.RFC3339, NoColor: true}
	}
	o.settings.Store(settings)
}

// Write writes a line without a level.
func (o *logOutput) Write(line []byte) (int, error) {
	return o.settings.Load().writer.Write(line)
}

// WriteLevel writes a line if its level is wanted.
func (o *logOutput) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	settings := o.settings.Load()
	if level < settings.level {
		return len(line), nil
	}
	return settings.writer.Write(line)
}

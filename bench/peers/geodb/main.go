// Command geodb writes the made-up city database that the geo-aware peers of
// the benchmark look clients up in, so that each of them has as many networks
// to search as it would have in service, and all of them the same.
//
// It writes a MaxMind database of the city kind, or the same networks as a
// configuration of Knot DNS's geoip module in subnet mode. The output is a
// function of this program alone: every run writes the same bytes. The places
// are invented; only the countries and their rough middles are real.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	format := flag.String("format", "mmdb", "what to write: mmdb (a city database) or knot-subnets (views of Knot's geoip module)")
	output := flag.String("o", "", "the `file` to write")
	name := flag.String("name", "dl.example.test", "knot-subnets: the owner `name` of the views")
	pools := flag.String("pools", "", "knot-subnets: the answers to choose from, as `A,A,...,AAAA,AAAA;...`; one is taken by the place")
	flag.Parse()
	if *output == "" || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*format, *output, *name, *pools); err != nil {
		fmt.Fprintf(os.Stderr, "geodb: %v\n", err)
		os.Exit(1)
	}
}

// run writes format to the file output, which is complete or not there: it is
// written beside it and renamed.
func run(format, output, name, pools string) error {
	var write func(io.Writer) error
	switch format {
	case "mmdb":
		write = func(w io.Writer) error { return writeDatabase(w, divisions()) }
	case "knot-subnets":
		if pools == "" {
			return errors.New("-format knot-subnets needs -pools")
		}
		write = func(w io.Writer) error { return writeKnotSubnets(w, divisions(), name, strings.Split(pools, ";")) }
	default:
		return fmt.Errorf("unknown -format %q: want mmdb or knot-subnets", format)
	}
	return replace(output, write)
}

// replace fills the file name by write, all or nothing.
func replace(name string, write func(io.Writer) error) (err error) {
	partial := fmt.Sprintf("%s.%d", name, os.Getpid())
	file, err := os.Create(partial)
	if err != nil {
		return fmt.Errorf("creating the file beside %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing %s: %w", name, err), os.Remove(partial))
		}
	}()
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(partial, name)
}

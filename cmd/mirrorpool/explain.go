package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mirrorpool/admin"
	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
	"mirrorpool/zones"
)

func explainCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "explain --client ADDRESS [--pool NAME | --host NAME] [--dir DIR]",
		Short: "Say who would be given to a client, and why",
		Long: `explain asks the running server, through the admin address, to apply the rule
of choice to one client: its place, the tiers of nearness, everyone left out with
the reason, and every candidate's share. The address is neither logged nor kept.

Without --pool and --host it explains the only pool there is or, where there is none,
the only redirect host.

With --dir it asks no server: it reads a working tree, takes every mirror for
up, and tells what a push would do. Members that are given by host name have no
addresses then: only a node resolves them. Geo data is then the embedded country data,
or what the file named by --config says. Pools that the nodes publish in zones elsewhere
have to be named, by --published or by that file.`,
		Example: `  mirrorpool explain --client 192.0.2.7
  mirrorpool explain --client 2001:db8::7 --host download.example.org --https
  mirrorpool explain --client 192.0.2.7 --dir .`,
	}
	path := configFlag(command)
	flags := command.Flags()
	address := flags.String("client", "", "the client's `ADDRESS`")
	poolName := flags.String("pool", "", "a DNS pool's `NAME`")
	host := flags.String("host", "", "a redirect host's `NAME`")
	family := flags.String("family", "", "4 for A, 6 for AAAA records (default: the family of the client's address)")
	secure := flags.Bool("https", false, "the client came to the redirect host by https")
	directory := flags.String("dir", "", "explain the working tree in `DIR` instead of what the server serves")
	published := publishedFlag(command)
	asJSON := flags.Bool("json", false, "print JSON")
	command.RunE = func(command *cobra.Command, _ []string) error {
		asked := explainQuestion{pool: *poolName, host: *host, family: *family, secure: *secure}
		var err error
		if asked.client, err = netip.ParseAddr(*address); err != nil {
			return usageError{fmt.Errorf("--client: found %q, expected an IPv4 or IPv6 address", *address)}
		}
		if asked.pool != "" && asked.host != "" {
			return usageError{errors.New("explain: name either a --pool or a --host, not both")}
		}
		var body []byte
		if *directory != "" {
			body, err = asked.ofDirectory(command, *directory, *path, *published)
		} else {
			body, err = asked.ofServer(command.Context(), *path)
		}
		if err != nil {
			return err
		}
		return printExplanation(command, body, *asJSON)
	}
	return command
}

// explainQuestion is what explain is asked.
type explainQuestion struct {
	client     netip.Addr
	pool, host string // at most one of them
	family     string // "4", "6" or empty
	secure     bool
}

// query is the question as the admin listener understands it.
func (q explainQuestion) query() url.Values {
	query := url.Values{"client": {q.client.String()}}
	for key, value := range map[string]string{"pool": q.pool, "host": q.host, "family": q.family} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if q.secure {
		query.Set("scheme", "https")
	}
	return query
}

func (q explainQuestion) ofServer(ctx context.Context, configPath string) ([]byte, error) {
	client, err := newClient(configPath)
	if err != nil {
		return nil, err
	}
	return client.do(ctx, http.MethodGet, explainPath, q.query())
}

const explainPath = "/api/v1/explain"

// ofDirectory asks the admin handler itself, over a table of the working tree.
func (q explainQuestion) ofDirectory(command *cobra.Command, directory, configPath string, published []string) ([]byte, error) {
	files := geoConfig{}.files()
	if command.Flags().Changed("config") {
		config, err := loadConfig(configPath)
		if err != nil {
			return nil, err
		}
		files, published = config.Geo.files(), append(published, config.publishedPools()...)
	}
	source, err := geo.Open(files)
	if err != nil {
		return nil, usageError{err}
	}
	if err := isDirectory(directory); err != nil {
		return nil, err
	}
	table, problems, err := directoryTable(os.DirFS(directory), source.Map(), published...)
	if err != nil {
		return nil, err
	}
	if table == nil {
		for _, problem := range problems {
			fmt.Fprintln(command.OutOrStdout(), problem)
		}
		return nil, errNo
	}
	handler, err := admin.NewHandler(admin.Config{
		Table:  func() *zones.Table { return table },
		Status: func() admin.Status { return admin.Status{Version: programVersion()} },
	})
	if err != nil {
		return nil, err
	}
	return (&client{base: "http://127.0.0.1", http: &http.Client{Transport: handlerTransport{handler}}}).
		do(command.Context(), http.MethodGet, explainPath, q.query())
}

// handlerTransport answers requests by a handler of this process, without a
// network.
type handlerTransport struct{ handler http.Handler }

func (t handlerTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	reply := &replyWriter{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(reply, request)
	return &http.Response{
		StatusCode: reply.status, Status: http.StatusText(reply.status), Header: reply.header,
		Body: io.NopCloser(&reply.body), Request: request,
	}, nil
}

type replyWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *replyWriter) Header() http.Header            { return w.header }
func (w *replyWriter) WriteHeader(status int)         { w.status = status }
func (w *replyWriter) Write(data []byte) (int, error) { return w.body.Write(data) }

// directoryTable compiles a working tree as if every mirror were up. The table
// is nil if the tree would be refused.
func directoryTable(files fs.FS, places *geo.Map, published ...string) (*zones.Table, []pool.Problem, error) {
	content, problems := readRepository(files, published...)
	if content == nil {
		return nil, problems, nil
	}
	states := map[health.Target]health.State{}
	for _, assignment := range health.Targets(content.definition) {
		states[assignment.Target] = health.State{Verdict: health.Up, Reason: "taken for up", Address: assignment.Target.Address}
	}
	table, err := zones.Compile(zones.Input{
		Definition: content.definition, Static: content.static,
		Health: health.NewReport(states), Geo: places, Now: time.Now(),
	})
	return table, problems, err
}

func printExplanation(command *cobra.Command, body []byte, asJSON bool) error {
	out := command.OutOrStdout()
	if asJSON {
		if _, err := out.Write(body); err != nil {
			return fmt.Errorf("writing the explanation: %w", err)
		}
		return nil
	}
	var explanation selection.Explanation
	if err := json.Unmarshal(body, &explanation); err != nil {
		return fmt.Errorf("reading the server's answer: %w; is the server of another version than this program?", err)
	}
	fmt.Fprint(out, explanation.String())
	return nil
}

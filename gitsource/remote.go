package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// looker asks a remote for its head, and fetches that if it is not known.
type looker interface {
	// look returns the branch's head, and the commit unless known says of the
	// head that there is no need. An error with a head is one of fetching.
	look(ctx context.Context, known func(commit string) bool) (head string, found *content, err error)
}

// session is one conversation with git-upload-pack. Its methods are called in
// this order, once each, and fetch need not be called.
type session interface {
	// advertised returns the references and capabilities.
	advertised(ctx context.Context) (*packp.AdvRefs, error)
	// fetch asks for a pack. Reading it ends with ctx.
	fetch(ctx context.Context, request *packp.UploadPackRequest) (io.Reader, error)
	// lastWords is what the other side has had to say beside the protocol so
	// far, on one line; often empty.
	lastWords() string
	// close ends the conversation and all that it holds.
	close()
}

// remote is the looker for real remotes.
type remote struct {
	config  Config // with defaults
	address address
	dialer  dialer
}

// newRemote expects a valid config with defaults.
func newRemote(config Config) (*remote, error) {
	address, err := parseAddress(config.URL)
	if err != nil {
		return nil, err
	}
	proxy, err := parseProxy(config.Proxy)
	if err != nil {
		return nil, err
	}
	return &remote{config: config, address: address, dialer: dialer{proxy: proxy}}, nil
}

func (r *remote) look(ctx context.Context, known func(string) bool) (string, *content, error) {
	m := newMeter(r.config.MaxBytes)
	fail := func(doing string, err error) error { return r.explain(ctx, m, doing, err) }

	s, err := r.open(ctx, m)
	if err != nil {
		return "", nil, fail("connecting to "+r.address.String(), err)
	}
	defer s.close()
	references, err := s.advertised(ctx)
	if err != nil {
		return "", nil, fail("asking "+r.address.String()+" for its branches", err)
	}
	head, err := r.head(references)
	if err != nil {
		return "", nil, err
	}
	commit := head.String()
	if known(commit) {
		return commit, nil, nil
	}
	found, err := r.fetch(ctx, s, head, references.Capabilities)
	if err == nil {
		return commit, found, nil
	}
	err = fail("fetching commit "+commit+" from "+r.address.String(), err)
	if errors.Is(err, ErrTooLarge) {
		// It would be as large the next time, and as much would be sent.
		err = unusableError{err}
	}
	return commit, nil, err
}

// fetch gets a commit and its files.
func (r *remote) fetch(ctx context.Context, s session, head plumbing.Hash, offered *capability.List) (*content, error) {
	pack, err := s.fetch(ctx, packRequest(head, offered))
	if err != nil {
		return nil, err
	}
	bounds := limits{files: r.config.MaxFiles, unpacked: r.config.MaxUnpacked}
	objects, err := readPack(pack, bounds)
	if err != nil {
		if said := s.lastWords(); said != "" {
			err = fmt.Errorf("%w (the remote said: %s)", err, said)
		}
		return nil, err
	}
	found, err := newContent(objects, head, bounds)
	if err != nil {
		return nil, unusableError{err}
	}
	return found, nil
}

// explain replaces what the end of a connection looks like from inside by what
// made it end.
func (r *remote) explain(ctx context.Context, m *meter, doing string, err error) error {
	if m.over.Load() {
		return tooLarge("%s: the remote sent more than %s, the limit of one look", doing, byteCount(m.limit))
	}
	// Connections may notice the deadline before the context does.
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		who := "the remote is"
		if r.dialer.proxy != nil {
			who = "the remote or the proxy " + r.dialer.proxy.Host + " is"
		}
		return worded(fmt.Sprintf("%s: no end within %s: %s silent or slow", doing, r.config.Timeout, who), context.DeadlineExceeded, err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (r *remote) open(ctx context.Context, m *meter) (session, error) {
	switch r.address.scheme {
	case schemeLocal:
		return openLocal(ctx, r.address.path, m)
	case schemeGit:
		return r.openGit(ctx, m)
	case schemeSSH:
		return r.openSSH(ctx, m)
	}
	return r.openHTTP(m)
}

// head finds the branch among the references.
func (r *remote) head(references *packp.AdvRefs) (plumbing.Hash, error) {
	if references.IsEmpty() || (references.Head == nil && len(references.References) == 0) {
		return plumbing.ZeroHash, r.empty()
	}
	if r.config.Branch == "" {
		if references.Head == nil {
			return plumbing.ZeroHash, worded(fmt.Sprintf(
				"%s: its HEAD names a branch that it does not have: set the branch; it has %s",
				r.address, branchList(references)), ErrBranchMissing)
		}
		return *references.Head, nil
	}
	head, found := references.References[plumbing.NewBranchReferenceName(r.config.Branch).String()]
	if !found {
		return plumbing.ZeroHash, worded(fmt.Sprintf("%s has no branch %q: it has %s",
			r.address, r.config.Branch, branchList(references)), ErrBranchMissing)
	}
	return head, nil
}

func (r *remote) empty() error {
	branch := r.config.Branch
	if branch == "" {
		branch = "its default branch"
	}
	return worded(fmt.Sprintf("the repository %s is empty: push a commit to %s", r.address, branch), ErrRepositoryEmpty)
}

// branchList names a few of the branches there are.
func branchList(references *packp.AdvRefs) string {
	const shown = 5
	var names []string
	for name := range references.References {
		if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			names = append(names, tidy(branch, 60))
		}
	}
	if len(names) == 0 {
		return "no branches at all"
	}
	slices.Sort(names)
	if more := len(names) - shown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), more)
	}
	return strings.Join(names, ", ")
}

// packRequest asks for one commit with its files, without its history and
// without progress reports.
func packRequest(head plumbing.Hash, offered *capability.List) *packp.UploadPackRequest {
	request := packp.NewUploadPackRequest()
	request.Wants = []plumbing.Hash{head}
	if offered.Supports(capability.Shallow) {
		request.Depth = packp.DepthCommits(1)
		_ = request.Capabilities.Set(capability.Shallow)
	}
	sideband := capability.Sideband64k
	if !offered.Supports(sideband) {
		sideband = capability.Sideband
	}
	for _, wanted := range []capability.Capability{sideband, capability.OFSDelta, capability.NoProgress} {
		if offered.Supports(wanted) {
			_ = request.Capabilities.Set(wanted) // fails for capabilities with arguments only
		}
	}
	return request
}

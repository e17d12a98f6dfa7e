package gitsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// stream is a session over a pair of byte streams to a git-upload-pack, be it
// behind SSH, git:// or in a process of our own.
type stream struct {
	in  io.Reader      // what the other side sends; ends with the look's context
	out io.WriteCloser // what it gets
	// ended waits until the other side has ended; nil where there is nothing
	// to wait for.
	ended func()
	// said is what the other side has written to its standard error.
	said lastWords
	// end frees what the stream stands on.
	end       func()
	path      string // the repository's, for errors
	requested bool
}

func (s *stream) advertised(context.Context) (*packp.AdvRefs, error) {
	references := packp.NewAdvRefs()
	err := references.Decode(s.in)
	switch {
	case err == nil || errors.Is(err, packp.ErrEmptyAdvRefs):
		return references, nil
	case errors.Is(err, packp.ErrEmptyInput), errors.Is(err, io.ErrUnexpectedEOF):
		if s.ended != nil {
			s.ended()
		}
		if said := s.said.String(); said != "" {
			return nil, remoteSaid(s.path, said)
		}
		return nil, errors.New("the remote hung up without a word")
	}
	return nil, notGit(s.path, err)
}

func (s *stream) fetch(_ context.Context, request *packp.UploadPackRequest) (io.Reader, error) {
	var message bytes.Buffer
	if err := request.UploadRequest.Encode(&message); err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	if err := pktline.NewEncoder(&message).EncodeString("done\n"); err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	s.requested = true
	if _, err := s.out.Write(message.Bytes()); err != nil {
		return nil, fmt.Errorf("sending the request: %w", err)
	}
	response := packp.NewUploadPackResponse(request)
	if err := response.Decode(io.NopCloser(s.in)); err != nil {
		return nil, notGit(s.path, err)
	}
	return packOf(request, response), nil
}

func (s *stream) lastWords() string { return tidy(s.said.String(), 300) }

// close says goodbye, so that the other side logs no error, and hangs up.
func (s *stream) close() {
	if !s.requested {
		_, _ = s.out.Write(pktline.FlushPkt)
	}
	_ = s.out.Close()
	s.end()
}

// packOf gives the pack in a response, freed of the bands around it.
func packOf(request *packp.UploadPackRequest, response io.Reader) io.Reader {
	switch {
	case request.Capabilities.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, response)
	case request.Capabilities.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, response)
	}
	return response
}

// remoteSaid words what the other side gave as its reason.
func remoteSaid(path, said string) error {
	said = tidy(said, 300)
	for _, sign := range []string{"does not appear to be a git repository", "not a git repository", "repository not found", "no such repository"} {
		if strings.Contains(strings.ToLower(said), sign) {
			return worded(fmt.Sprintf("there is no Git repository at %s, or it may not be read (the remote said: %s)", path, said), transport.ErrRepositoryNotFound)
		}
	}
	return fmt.Errorf("the remote said: %s", said)
}

// notGit words an answer that is an error of the Git protocol, or none of it.
func notGit(path string, err error) error {
	var line *pktline.ErrorLine
	if errors.As(err, &line) {
		return remoteSaid(path, line.Text)
	}
	var odd *packp.ErrUnexpectedData
	if errors.As(err, &odd) && bytes.Contains(odd.Data, []byte("object-format=sha256")) {
		return fmt.Errorf("the repository at %s has SHA-256 object names, which are not supported: make it with SHA-1 (git init --object-format=sha1)", path)
	}
	return fmt.Errorf("the answer is not in the Git protocol: %w", shortened{err})
}

// shortened is an error whose text may hold anything that a remote has sent.
type shortened struct{ error }

func (e shortened) Error() string { return tidy(e.error.Error(), 300) }
func (e shortened) Unwrap() error { return e.error }

// lastWords keeps the first part of what is written to it.
type lastWords struct {
	mutex sync.Mutex
	text  []byte
}

const lastWordsLimit = 4096

func (w *lastWords) Write(p []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if room := lastWordsLimit - len(w.text); room > 0 {
		w.text = append(w.text, p[:min(len(p), room)]...)
	}
	return len(p), nil
}

func (w *lastWords) String() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return string(w.text)
}

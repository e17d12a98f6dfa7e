package gitsource

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// openGit connects to a git daemon.
func (r *remote) openGit(ctx context.Context, m *meter) (session, error) {
	conn, err := r.dialer.dial(ctx, r.address.hostPort(), m)
	if err != nil {
		return nil, err
	}
	request := packp.GitProtoRequest{
		RequestCommand: transport.UploadPackServiceName,
		Pathname:       r.address.path,
		Host:           bracketed(r.address.host),
	}
	if r.address.port != defaultPorts[schemeGit] {
		request.Host = r.address.hostPort()
	}
	if err := request.Encode(conn); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("sending the request: %w", err)
	}
	return &stream{
		in:   conn,
		out:  conn,
		end:  func() { _ = conn.Close() },
		path: r.address.path,
	}, nil
}

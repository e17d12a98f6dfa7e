package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"

	"golang.org/x/net/proxy"
)

// parseProxy reads the proxy setting; nil for none.
func parseProxy(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, nil
	}
	const form = "expected socks5h://[user:password@]host[:port]"
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL: " + form) // url.Parse would quote a password
	}
	if u.Scheme != "socks5" && u.Scheme != "socks5h" {
		return nil, fmt.Errorf("%s is not a SOCKS5 proxy: %s", u.Redacted(), form)
	}
	if u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%s: %s", u.Redacted(), form)
	}
	port := u.Port()
	if port == "" {
		port = "1080"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("%s: the port is not from 1 to 65535", u.Redacted())
	}
	if password, _ := u.User.Password(); len(u.User.Username()) > 255 || len(password) > 255 {
		return nil, fmt.Errorf("%s: user and password may have 255 bytes each", u.Redacted())
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return u, nil
}

// meter counts what one look reads, over all its connections.
type meter struct {
	limit int64
	left  atomic.Int64
	over  atomic.Bool // more than limit would have been read
}

func newMeter(limit int64) *meter {
	m := &meter{limit: limit}
	m.left.Store(limit)
	return m
}

// read reads from r what the meter still allows.
func (m *meter) read(r io.Reader, p []byte) (int, error) {
	left := m.left.Load()
	if left <= 0 {
		m.over.Store(true)
		return 0, tooLarge("the remote sent more than %s", byteCount(m.limit))
	}
	if int64(len(p)) > left {
		p = p[:left]
	}
	n, err := r.Read(p)
	m.left.Add(-int64(n))
	return n, err
}

// meteredReader is a reader under a meter.
type meteredReader struct {
	io.Reader
	meter *meter
}

func (r meteredReader) Read(p []byte) (int, error) { return r.meter.read(r.Reader, p) }

// boundConn is a connection that ends with its look: it is metered, has the
// look's deadline, and is closed when the look's context ends.
type boundConn struct {
	net.Conn
	meter  *meter
	disarm func() bool
}

func (c *boundConn) Read(p []byte) (int, error) { return c.meter.read(c.Conn, p) }

func (c *boundConn) Close() error {
	c.disarm()
	return c.Conn.Close()
}

// dialer opens connections for one remote.
type dialer struct {
	proxy *url.URL // nil: none
}

// dial connects to address, which goes to the proxy as it is if there is one.
// The connection reads from the meter and ends with ctx.
func (d dialer) dial(ctx context.Context, address string, m *meter) (net.Conn, error) {
	var direct net.Dialer
	if d.proxy == nil {
		conn, err := direct.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("connecting to %s: %w", address, err)
		}
		return bind(ctx, conn, m), nil
	}
	var auth *proxy.Auth
	if d.proxy.User != nil {
		password, _ := d.proxy.User.Password()
		auth = &proxy.Auth{User: d.proxy.User.Username(), Password: password}
	}
	socks, err := proxy.SOCKS5("tcp", d.proxy.Host, auth, &direct)
	if err != nil {
		return nil, fmt.Errorf("setting up the proxy %s: %w", d.proxy.Redacted(), err)
	}
	through, ok := socks.(proxy.ContextDialer)
	if !ok {
		return nil, fmt.Errorf("setting up the proxy %s: its dialer cannot be interrupted", d.proxy.Redacted())
	}
	conn, err := through.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s through the proxy %s: %w", address, d.proxy.Host, err)
	}
	return bind(ctx, conn, m), nil
}

func bind(ctx context.Context, conn net.Conn, m *meter) net.Conn {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // fails on closed connections only, which the first read tells
	}
	return &boundConn{
		Conn:   conn,
		meter:  m,
		disarm: context.AfterFunc(ctx, func() { _ = conn.Close() }),
	}
}

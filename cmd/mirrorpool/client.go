package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// client asks a running server through its admin address.
type client struct {
	base string
	http *http.Client
}

// newClient finds the server through the node's configuration.
func newClient(configPath string) (*client, error) {
	config, err := loadConfig(configPath)
	if err != nil {
		return nil, err
	}
	return config.client(), nil
}

// client finds the server that runs with this configuration.
func (c *config) client() *client {
	address := netip.MustParseAddrPort(c.Admin.Listen)
	host := address.Addr()
	switch host {
	case netip.IPv4Unspecified():
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		host = netip.IPv6Loopback()
	}
	// The admin address is this machine's: no proxy stands before it.
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	return &client{
		base: "http://" + netip.AddrPortFrom(host, address.Port()).String(),
		http: &http.Client{Timeout: 2 * time.Minute, Transport: transport},
	}
}

// longestReply bounds what is read of an answer.
const longestReply = 64 << 20

// do asks and gives the body of a good answer. An answer that is no is a plain
// error; no answer is an unreachableError.
func (c *client) do(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the server: %w", err)
	}
	request.Header.Set("X-Mirrorpool", "1")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, unreachableError{fmt.Errorf("asking the server at %s: %w; is `mirrorpool serve` running with this configuration?", c.base, err)}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, longestReply))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, unreachableError{fmt.Errorf("reading the server's answer: %w", err)}
	}
	if response.StatusCode != http.StatusOK {
		return nil, replyError(response, body)
	}
	return body, nil
}

// replyError words an answer that is no by the server's own words.
func replyError(response *http.Response, body []byte) error {
	var reply struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &reply) != nil || reply.Error == "" {
		return fmt.Errorf("the server answered %s", response.Status)
	}
	err := errors.New(reply.Error)
	if response.StatusCode == http.StatusBadRequest || response.StatusCode == http.StatusNotFound {
		return usageError{err}
	}
	return err
}

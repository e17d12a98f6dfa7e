package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"
	"unicode"
)

// Encryption is how the connection to a mail server is protected.
type Encryption string

// The ways.
const (
	StartTLS    Encryption = "starttls" // it has to offer STARTTLS (RFC 3207)
	ImplicitTLS Encryption = "implicit" // TLS from the first byte (RFC 8314), mostly port 465
	NoTLS       Encryption = "none"
)

// Mail is a mail server that takes messages by SMTP.
type Mail struct {
	Server string // host and port
	TLS    Encryption
	// RootCAs are who may have signed the server's certificate; nil: the machine's.
	RootCAs *x509.CertPool
	// User logs in, where it is not empty, with what Password gives; over TLS alone.
	User     string
	Password func() (string, error)
	Hello    string // this machine's name; empty: "localhost"
	From     *mail.Address
	To       []*mail.Address // the administrators
	// ToMirrors: operators of mirrors are written to when a trouble with theirs has lasted
	// for MirrorsAfter.
	ToMirrors    bool
	MirrorsAfter time.Duration

	dialer dialer
}

// Validate reports what is wrong with the settings.
func (s *Mail) Validate() error {
	host, port, err := net.SplitHostPort(s.Server)
	switch {
	case err != nil || host == "" || port == "":
		return fmt.Errorf("found the server %q, expected a host and a port, such as mail.example.org:587", s.Server)
	case s.TLS != StartTLS && s.TLS != ImplicitTLS && s.TLS != NoTLS:
		return fmt.Errorf("found tls %q, expected starttls, implicit or none", s.TLS)
	case s.User != "" && s.TLS == NoTLS:
		return errors.New("a user without TLS: passwords are sent over TLS alone")
	case s.User != "" && s.Password == nil:
		return errors.New("a user without a password")
	case s.From == nil || len(s.To) == 0 || len(s.To) > MaxRecipients:
		return fmt.Errorf("found %d to write to, expected 1 to %d, and somebody who writes", len(s.To), MaxRecipients)
	}
	return nil
}

// maxConversation is what is read from a mail server, in bytes.
const maxConversation = 1 << 20

// MaxRecipients is how many administrators one mail may go to.
const MaxRecipients = 50

// leaveTime is how long a mail server is waited for at the end.
const leaveTime = 2 * time.Second

// send implements sender.
func (s *Mail) send(ctx context.Context, m *message) error {
	recipients := s.To
	if m.operator != "" {
		to, err := mail.ParseAddress(m.operator)
		if err != nil {
			return hopeless{fmt.Errorf("writing to a mirror's operator: %q is no mail address", m.operator)}
		}
		recipients = []*mail.Address{to}
	}
	conn, err := s.dialer.dial(ctx, "tcp", s.Server)
	if err != nil {
		return fmt.Errorf("connecting to the mail server: %w", err)
	}
	// The end of ctx is the end of every read and write.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	defer func() { _ = conn.Close() }()
	client, err := s.open(ctx, &boundedConn{Conn: conn, left: maxConversation})
	if err == nil {
		err = s.hand(client, recipients, m)
		_ = conn.SetDeadline(time.Now().Add(leaveTime))
		_ = client.Quit() // it has the mail, or has said why not
	}
	if ctx.Err() != nil && err != nil && !errors.As(err, &partly{}) {
		return fmt.Errorf("%w: the time was over", err)
	}
	return err
}

// open begins the conversation, with TLS and the password.
func (s *Mail) open(ctx context.Context, conn net.Conn) (*smtp.Client, error) {
	host, _, err := net.SplitHostPort(s.Server)
	if err != nil {
		return nil, hopeless{err}
	}
	settings := &tls.Config{ServerName: host, RootCAs: s.RootCAs, MinVersion: tls.VersionTLS12}
	if s.TLS == ImplicitTLS {
		secure := tls.Client(conn, settings)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("shaking hands with the mail server: %w", err)
		}
		conn = secure
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return nil, said("reading the mail server's greeting", err)
	}
	hello := s.Hello
	if hello == "" {
		hello = "localhost"
	}
	if err := client.Hello(hello); err != nil {
		return nil, said("greeting the mail server", err)
	}
	if s.TLS == StartTLS {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return nil, hopeless{errors.New("the mail server does not offer STARTTLS: nothing is sent without TLS, unless tls: none says so")}
		}
		if err := client.StartTLS(settings); err != nil {
			return nil, said("changing to TLS", err)
		}
	}
	if s.User != "" {
		if err := s.logIn(client, host); err != nil {
			return nil, err
		}
	}
	return client, nil
}

func (s *Mail) logIn(client *smtp.Client, host string) error {
	if _, secure := client.TLSConnectionState(); !secure {
		return hopeless{errors.New("logging in: passwords are sent over TLS alone")}
	}
	offered, mechanisms := client.Extension("AUTH")
	password, err := s.Password()
	if err != nil {
		return fmt.Errorf("reading the mail server's password: %w", err)
	}
	has := func(mechanism string) bool {
		for _, one := range strings.Fields(strings.ToUpper(mechanisms)) {
			if one == mechanism {
				return true
			}
		}
		return false
	}
	switch {
	case offered && has("PLAIN"):
		err = client.Auth(smtp.PlainAuth("", s.User, password, host))
	case offered && has("LOGIN"):
		err = client.Auth(&login{user: s.User, password: password})
	default:
		return hopeless{fmt.Errorf("logging in: the mail server offers %q, expected PLAIN or LOGIN", clean(mechanisms, 100))}
	}
	if err != nil {
		return said("logging in", err)
	}
	return nil
}

// hand gives the mail to the server. It is delivered when one recipient is taken.
func (s *Mail) hand(client *smtp.Client, recipients []*mail.Address, m *message) error {
	if err := begin(client, s.From.Address, recipients); err != nil {
		return said("naming the sender", err)
	}
	var refused []error
	taken := 0
	for _, to := range recipients {
		if err := client.Rcpt(to.Address); err != nil {
			refused = append(refused, said("naming the recipient "+to.Address, err))
			continue
		}
		taken++
	}
	if taken == 0 {
		return errors.Join(refused...)
	}
	data, err := client.Data()
	if err != nil {
		return said("beginning the mail", err)
	}
	if _, err := data.Write(s.compose(recipients, m)); err != nil {
		return said("sending the mail", err)
	}
	if err := data.Close(); err != nil {
		return said("ending the mail", err)
	}
	if len(refused) > 0 {
		return partly{errors.Join(refused...)}
	}
	return nil
}

// begin names the sender. smtp.Client's own Mail asks for SMTPUTF8 (RFC 6531) wherever
// it is offered, and a server that has to hand on to one without it then returns the
// mail. Only addresses beyond ASCII need it.
func begin(client *smtp.Client, from string, recipients []*mail.Address) error {
	all := from
	for _, to := range recipients {
		all += to.Address
	}
	if strings.ContainsFunc(all, unicode.IsControl) {
		return hopeless{errors.New("a mail address with a control character")}
	}
	options := ""
	if strings.ContainsFunc(all, func(c rune) bool { return c > unicode.MaxASCII }) {
		if offered, _ := client.Extension("SMTPUTF8"); !offered {
			return hopeless{errors.New("an address beyond ASCII, and the mail server does not offer SMTPUTF8")}
		}
		options = " SMTPUTF8"
	}
	id, err := client.Text.Cmd("MAIL FROM:<%s>%s", from, options)
	if err != nil {
		return err
	}
	client.Text.StartResponse(id)
	defer client.Text.EndResponse(id)
	_, _, err = client.Text.ReadResponse(250)
	return err
}

// said words an error. What the server has refused for good is without hope.
func said(doing string, err error) error {
	var answer *textproto.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	worded := fmt.Errorf("%s: the mail server says %d %s", doing, answer.Code, clean(answer.Msg, 300))
	if answer.Code >= 500 {
		return hopeless{worded}
	}
	return worded
}

// boundedConn reads no more than a number of bytes.
type boundedConn struct {
	net.Conn
	left int
}

// Read is net.Conn's.
func (c *boundedConn) Read(into []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the mail server has sent more than %d bytes", maxConversation)
	}
	n, err := c.Conn.Read(into[:min(len(into), c.left)])
	c.left -= n
	return n, err
}

// login is the mechanism LOGIN, which asks for the user and then for the password.
type login struct {
	user, password string
	asked          int
}

// Start is smtp.Auth's.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("passwords are sent over TLS alone")
	}
	return "LOGIN", nil, nil
}

// Next is smtp.Auth's.
func (l *login) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	l.asked++
	switch l.asked {
	case 1:
		return []byte(l.user), nil
	case 2:
		return []byte(l.password), nil
	}
	return nil, errors.New("the mail server asks for more than user and password")
}

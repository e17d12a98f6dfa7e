package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

func TestExplain(t *testing.T) {
	end := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	leaf := &x509.Certificate{
		Raw: []byte{1}, NotAfter: end, NotBefore: end,
		DNSNames: []string{"a.test", "b.test", "c.test", "d.test", "e.test"},
	}
	above := &x509.Certificate{Raw: []byte{2}, NotAfter: end, Subject: pkix.Name{CommonName: "R\n3"}}
	verify := func(err error) error {
		return &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{leaf}, Err: err}
	}
	expired := func(c *x509.Certificate, detail string) error {
		return verify(x509.CertificateInvalidError{Cert: c, Reason: x509.Expired, Detail: detail})
	}
	dial := func(err syscall.Errno) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)}
	}
	for _, test := range []struct {
		err     error
		during  phase
		outcome Outcome
		reason  string
	}{
		{dial(syscall.ECONNREFUSED), connecting, Connection, "connection refused"},
		{dial(syscall.EHOSTUNREACH), connecting, Connection, "no route to host"},
		{dial(syscall.ENETUNREACH), connecting, Connection, "network is unreachable"},
		{dial(syscall.ETIMEDOUT), connecting, Timeout, "no answer within 5s (connecting)"},
		{dial(syscall.EMFILE), connecting, shortage, "this program has no file descriptors left"},
		{dial(syscall.EACCES), connecting, Connection, "connecting: dial: connect: permission denied"},
		{fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), waiting, Connection, "connection closed early (waiting for the answer)"},
		{io.EOF, shaking, Connection, "connection closed (TLS handshake)"},
		{os.ErrDeadlineExceeded, reading, Timeout, "no answer within 5s (reading the body)"},
		{&net.DNSError{Err: "no such host", Name: "m.test"}, resolving, Resolution, `resolving "m.test": no such host`},
		{&net.DNSError{Err: "i/o timeout", Name: "m.test", IsTimeout: true}, resolving, Resolution, `resolving "m.test": i/o timeout`},
		{errors.New("odd"), resolving, Resolution, "resolving the name: odd"},
		{expired(leaf, "current time X is after Y"), shaking, Certificate, "certificate expired 2026-03-04 05:06 UTC"},
		{expired(leaf, "current time X is before Y"), shaking, Certificate, "certificate is not valid before 2026-03-04 05:06 UTC"},
		{expired(above, ""), shaking, Certificate, `certificate of the authority "R\n3" expired 2026-03-04 05:06 UTC`},
		{verify(x509.CertificateInvalidError{Cert: leaf, Reason: x509.TooManyIntermediates}), shaking, Certificate, "certificate: too many intermediates for path length constraint"},
		{verify(x509.HostnameError{Certificate: leaf, Host: "x.test"}), shaking, Certificate, "certificate is not for x.test but for a.test, b.test, c.test and 2 more"},
		{verify(x509.HostnameError{Certificate: above, Host: "x.test"}), shaking, Certificate, "certificate is not for x.test but for no name"},
		{verify(x509.UnknownAuthorityError{Cert: leaf}), shaking, Certificate, "certificate is self-signed"},
		{verify(errors.New("strange\x00")), shaking, Certificate, "certificate: strange."},
		{tls.RecordHeaderError{Msg: "first record"}, shaking, Protocol, "not a TLS answer"},
		{tls.AlertError(40), shaking, Protocol, "TLS refused: handshake failure"},
		{errors.New("remote error: tls: bad certificate"), shaking, Protocol, "TLS handshake: remote error: bad certificate"},
		{errors.New("strange"), waiting, Protocol, "not a valid HTTP answer: strange"},
	} {
		got := explain(t.Context(), test.err, test.during, 5*time.Second)
		if got.outcome != test.outcome || got.Error() != test.reason {
			t.Errorf("%v\ngot  %s: %s\nwant %s: %s", test.err, got.outcome, got.reason, test.outcome, test.reason)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := explain(ctx, io.EOF, waiting, time.Second); got.reason != "cancelled (waiting for the answer)" {
		t.Error(got.reason)
	}
	late, stop := context.WithDeadline(t.Context(), time.Now())
	defer stop()
	// A resolver that is silent is this machine's, unlike a mirror that is.
	for during, outcome := range map[phase]Outcome{resolving: Resolution, connecting: Timeout} {
		err := &net.DNSError{Err: "i/o timeout", Name: "m.test", IsTimeout: true}
		if got, want := explain(late, err, during, time.Second), fmt.Sprintf("no answer within 1s (%s)", during); got.outcome != outcome || got.reason != want {
			t.Errorf("%s: %s: %s, want %s: %s", during, got.outcome, got.reason, outcome, want)
		}
	}
}

// TestForeignText holds that what a peer sends cannot fill or break a reason.
func TestForeignText(t *testing.T) {
	text := strings.Repeat("é\n\x00\u202e", 1000)
	for _, s := range []string{quote([]byte(text)), quote([]byte(text[1:])), clip(text), clip(text[1:])} {
		if len(s) > 600 || !utf8.ValidString(s) || strings.ContainsAny(s, "\n\x00\u202e") {
			t.Errorf("%q", s)
		}
	}
}

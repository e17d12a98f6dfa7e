package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// failure is a probe's failure in words. What a peer sent is quoted in it.
type failure struct {
	outcome Outcome
	reason  string
}

func (f *failure) Error() string { return f.reason }

func fail(outcome Outcome, format string, arguments ...any) error {
	return &failure{outcome, fmt.Sprintf(format, arguments...)}
}

// phase is what a probe was doing, for the words of a failure.
type phase string

const (
	resolving  phase = "resolving the name"
	connecting phase = "connecting"
	shaking    phase = "TLS handshake"
	sending    phase = "sending the request"
	waiting    phase = "waiting for the answer"
	reading    phase = "reading the body"
)

// explain turns an error of the given phase into a failure.
func explain(ctx context.Context, err error, during phase, timeout time.Duration) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	var network net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &failure{Failed, fmt.Sprintf("cancelled (%s)", during)}
	case during == resolving:
		return explainResolution(ctx, err, timeout)
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return &failure{Timeout, fmt.Sprintf("no answer within %s (%s)", timeout, during)}
	case during == shaking:
		if f := explainHandshake(err); f != nil {
			return f
		}
	}
	return explainConnection(err, during)
}

// explainResolution tells of a name without an address. That the resolver is silent is
// such a failure too, and not a Timeout: it is no fault of the target.
func explainResolution(ctx context.Context, err error, timeout time.Duration) *failure {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return &failure{Resolution, fmt.Sprintf("no answer within %s (%s)", timeout, resolving)}
	}
	if f := explainShortage(err); f != nil {
		return f
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		words := dns.Err
		if dns.Server != "" && !dns.IsNotFound {
			words = "asking " + dns.Server + ": " + words
		}
		return &failure{Resolution, fmt.Sprintf("resolving %s: %s", quote([]byte(dns.Name)), words)}
	}
	return &failure{Resolution, fmt.Sprintf("resolving the name: %s", clip(err.Error()))}
}

// shortage is the outcome of a probe that this machine had not enough of something for:
// the probe was not made then.
const shortage Outcome = "shortage"

// shortages are what this machine may be short of.
var shortages = []struct {
	err  syscall.Errno
	text string
}{
	{syscall.EMFILE, "this program has no file descriptors left"},
	{syscall.ENFILE, "this machine has no file descriptors left"},
	{syscall.EADDRNOTAVAIL, "no local address or port for the connection"},
	{syscall.ENOBUFS, "this machine has no buffers left for connections"},
}

// explainShortage words what this machine is short of; nil for other errors. The
// resolver's errors have it in their text alone.
func explainShortage(err error) *failure {
	dns, resolution := errors.AsType[*net.DNSError](err)
	for _, s := range shortages {
		if errors.Is(err, s.err) || resolution && strings.HasSuffix(dns.Err, s.err.Error()) {
			return &failure{shortage, s.text}
		}
	}
	return nil
}

func explainConnection(err error, during phase) *failure {
	if f := explainShortage(err); f != nil {
		return f
	}
	known := []struct {
		err  error
		text string
	}{
		{syscall.ECONNREFUSED, "connection refused"},
		{syscall.ECONNRESET, "connection reset"},
		{syscall.EPIPE, "connection reset"},
		{syscall.EHOSTUNREACH, "no route to host"},
		{syscall.ENETUNREACH, "network is unreachable"},
		{io.ErrUnexpectedEOF, "connection closed early"},
		{io.EOF, "connection closed"},
	}
	for _, k := range known {
		if !errors.Is(err, k.err) {
			continue
		}
		if during == connecting {
			return &failure{Connection, k.text}
		}
		return &failure{Connection, fmt.Sprintf("%s (%s)", k.text, during)}
	}
	if during == waiting || during == reading {
		return &failure{Protocol, fmt.Sprintf("not a valid HTTP answer: %s", clip(err.Error()))}
	}
	return &failure{Connection, fmt.Sprintf("%s: %s", during, clip(err.Error()))}
}

// explainHandshake words what is particular to TLS; nil for other errors.
func explainHandshake(err error) *failure {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return &failure{Certificate, explainInvalid(invalid, leafOf(err))}
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return &failure{Certificate, fmt.Sprintf("certificate is not for %s but for %s", name.Host, namesOf(name.Certificate))}
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if leaf := unknown.Cert; leaf != nil && leaf.Subject.String() == leaf.Issuer.String() {
			return &failure{Certificate, "certificate is self-signed"}
		}
		return &failure{Certificate, "certificate is signed by an unknown authority"}
	}
	if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &failure{Certificate, "certificate: " + clip(verification.Err.Error())}
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return &failure{Protocol, "not a TLS answer"}
	}
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return &failure{Protocol, "TLS refused: " + strings.TrimPrefix(alert.Error(), "tls: ")}
	}
	// The package tls has no types for an alert that came in, nor for what it
	// makes of nonsense; all that begins so is its own.
	if text := err.Error(); strings.HasPrefix(text, "tls: ") || strings.HasPrefix(text, "remote error: tls: ") {
		return &failure{Protocol, "TLS handshake: " + clip(strings.Replace(text, "tls: ", "", 1))}
	}
	return nil
}

func explainInvalid(invalid x509.CertificateInvalidError, leaf *x509.Certificate) string {
	whose := "certificate"
	if invalid.Cert != nil && leaf != nil && !invalid.Cert.Equal(leaf) {
		whose = "certificate of the authority " + quote([]byte(invalid.Cert.Subject.CommonName))
	}
	if invalid.Reason != x509.Expired || invalid.Cert == nil {
		return whose + ": " + clip(strings.TrimPrefix(invalid.Error(), "x509: "))
	}
	// Expired stands for both ends of the validity; the text tells which.
	const layout = "2006-01-02 15:04 UTC"
	if strings.Contains(invalid.Detail, "is before") {
		return fmt.Sprintf("%s is not valid before %s", whose, invalid.Cert.NotBefore.UTC().Format(layout))
	}
	return fmt.Sprintf("%s expired %s", whose, invalid.Cert.NotAfter.UTC().Format(layout))
}

// leafOf is the server's own certificate in a failed verification; or nil.
func leafOf(err error) *x509.Certificate {
	verification, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(verification.UnverifiedCertificates) == 0 {
		return nil
	}
	return verification.UnverifiedCertificates[0]
}

// namesOf lists the names that a certificate is for, the first few.
func namesOf(c *x509.Certificate) string {
	var names []string
	for _, name := range c.DNSNames {
		names = append(names, clip(name))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return "no name"
	case len(names) > 3:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

// maxQuoted is how many bytes of what came from elsewhere stand in a reason.
const maxQuoted = 80

// quote puts text from elsewhere between quotes, escaped and cut.
func quote(text []byte) string {
	if len(text) > maxQuoted {
		return strconv.Quote(string(text[:maxQuoted])) + "…"
	}
	return strconv.Quote(string(text))
}

// clip makes text from elsewhere short and printable.
func clip(text string) string { return clipTo(text, 2*maxQuoted) }

// clipTo is clip with a bound of its own, in bytes.
func clipTo(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return '.'
		}
		return r
	}, text)
}

//go:build e2e

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// looksEvery is how often the servers themselves are asked, and downloadsEvery how often
	// a client begins, whatever became of those before.
	looksEvery     = 100 * time.Millisecond
	downloadsEvery = 100 * time.Millisecond
	// The addresses that clients, and nobody else, connect from.
	clientAddress, clientAddress6 = "127.0.0.9", "fd00:99::9"
	// clientWaits is for how long a client waits for a file from one address.
	clientWaits = 2 * time.Second
)

// healthWatch is one pool at one server, seen by those who ask it, and by clients that
// resolve through unbound.
type healthWatch struct {
	name   string // that is asked for
	kind   uint16 // dns.TypeA or dns.TypeAAAA
	server int    // the port of the server itself
	victim string // the address of the mirror that fails
	secure bool

	mutex     sync.Mutex
	looks     []look // one for each change of what is seen, in order
	downloads []download
}

// look is what the server itself began to answer.
type look struct {
	at      time.Time
	present bool // the victim is in the answer
}

// download is one client's.
type download struct {
	began, ended time.Time // ended with the first address
	err          error     // of the first address; nil: the file came whole
	lost         bool      // neither of the others gave it
	// late: a mirror that works did not give it in time, which is no failure but a sign that
	// this machine has too much to do.
	late bool
}

// watchAll starts to look and to download everywhere, until the test ends.
func (lab *healthLab) watchAll() {
	ctx, cancel := context.WithCancel(context.Background())
	lab.Cleanup(func() {
		cancel()
		lab.running.Wait()
	})
	for _, fault := range lab.faults {
		kind, victim, other, well := dns.TypeA, fault.victim.address, dns.TypeAAAA, fault.victim.address6
		if fault.six {
			kind, victim, other, well = other, well, kind, victim
		}
		fault.ours = lab.watch(ctx, fault.label+".health.test", kind, lab.dnsPort, victim, fault.secure)
		fault.theirs = lab.watch(ctx, fault.label+".gdnsd.test", kind, lab.gdnsdPort, victim, fault.secure)
		if fault.dual {
			fault.untouched = lab.watch(ctx, fault.label+".health.test", other, lab.dnsPort, well, fault.secure)
		}
	}
}

func (lab *healthLab) watch(ctx context.Context, name string, kind uint16, server int, victim string, secure bool) *healthWatch {
	w := &healthWatch{name: name, kind: kind, server: server, victim: victim, secure: secure}
	lab.running.Go(func() { w.look(ctx) })
	lab.running.Go(func() { w.keepDownloading(ctx, lab) })
	return w
}

// look asks the server itself again and again. An answer that does not come changes nothing.
func (w *healthWatch) look(ctx context.Context) {
	ticker := time.NewTicker(looksEvery)
	defer ticker.Stop()
	for {
		if given, err := givenBy(ctx, w.server, w.name, w.kind, 3*looksEvery); err == nil {
			present := slices.Contains(given, w.victim)
			w.mutex.Lock()
			if len(w.looks) == 0 || w.looks[len(w.looks)-1].present != present {
				w.looks = append(w.looks, look{at: time.Now(), present: present})
			}
			w.mutex.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// keepDownloading begins downloads at a fixed rate.
func (w *healthWatch) keepDownloading(ctx context.Context, lab *healthLab) {
	var clients sync.WaitGroup
	defer clients.Wait()
	ticker := time.NewTicker(downloadsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		clients.Go(func() {
			done := w.download(ctx, lab)
			if ctx.Err() != nil {
				return // it was cut short
			}
			w.mutex.Lock()
			defer w.mutex.Unlock()
			w.downloads = append(w.downloads, done)
		})
	}
}

// download resolves the name through unbound and fetches the file from the first address.
// What a client would have from the next ones is tried after that.
func (w *healthWatch) download(ctx context.Context, lab *healthLab) download {
	done := download{began: time.Now()}
	given, err := givenBy(ctx, lab.resolver, w.name, w.kind, 2*clientWaits)
	if err != nil || len(given) == 0 {
		done.err, done.lost, done.ended = fmt.Errorf("resolving %s: %v %w", w.name, given, err), true, time.Now()
		return done
	}
	for i, address := range given {
		err := w.fetch(ctx, lab, address)
		if err != nil && address != w.victim && errors.Is(err, context.DeadlineExceeded) {
			err, done.late = nil, true
		}
		if i == 0 {
			done.err, done.ended = err, time.Now()
		}
		if err == nil {
			return done
		}
	}
	done.lost = true
	return done
}

// fetch gets the file from an address as a client of the pool does, and looks at it.
func (w *healthWatch) fetch(ctx context.Context, lab *healthLab, address string) error {
	ctx, cancel := context.WithTimeout(ctx, clientWaits)
	defer cancel()
	roots := x509.NewCertPool()
	roots.AddCert(lab.authority)
	scheme, port := "http", "80"
	if w.secure {
		scheme, port = "https", "443"
	}
	from := net.ParseIP(clientAddress)
	if w.kind == dns.TypeAAAA {
		from = net.ParseIP(clientAddress6)
	}
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext(ctx, network, net.JoinHostPort(address, port))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+w.name+imagePath, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("from %s: %w", address, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("from %s: status %d", address, response.StatusCode)
	case err != nil:
		return fmt.Errorf("from %s: %w", address, err)
	case !bytes.Equal(body, lab.content.image):
		return fmt.Errorf("from %s: %d bytes that are not the file's", address, len(body))
	}
	return nil
}

// givenBy asks a server on this machine for addresses, in their order.
func givenBy(ctx context.Context, port int, name string, kind uint16, within time.Duration) ([]string, error) {
	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(name), kind)
	reply, _, err := (&dns.Client{Timeout: within}).ExchangeContext(ctx, question, fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	if reply.Rcode != dns.RcodeSuccess {
		return nil, errors.New(dns.RcodeToString[reply.Rcode])
	}
	return addresses(reply), nil
}

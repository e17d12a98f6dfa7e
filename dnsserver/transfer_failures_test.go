package dnsserver

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"mirrorpool/zones"
)

// TestPanicInTransfer: what panics while a transfer is made ends its connection and
// nothing else, and is told apart from a record that cannot be packed.
func TestPanicInTransfer(t *testing.T) {
	given := testTransfers(3)
	given.differences["example.test."] = []*zones.Difference{nil}
	reports := make(chan error, 1)
	s := &transferServer{}
	s.transfers.Store(given)
	s.secureServer = startSecure(t, Config{
		Settings: everybody(t), Transfers: func() Transfers { return s.transfers.Load() },
		Report: func(err error) { reports <- err },
	})
	c := dial(t, "tcp", s.address(false))
	send(t, c, ixfr(5))
	if answer, err := receive(c); err == nil {
		t.Fatalf("got %v", parse(t, answer))
	}
	s.expectCounted(t, kindIXFR, transferFailed, 1)
	if err := <-reports; !strings.Contains(err.Error(), "transferring example.test.: panic: ") {
		t.Errorf("reported: %v", err)
	}
	for reason, want := range map[string]float64{failurePanic: 1, failurePack: 0} {
		if got := testutil.ToFloat64(s.metrics.failures.WithLabelValues(reason)); got != want {
			t.Errorf("%v failures of reason %s, want %v", got, reason, want)
		}
	}
	next := dial(t, "tcp", s.address(false))
	send(t, next, axfr())
	readTransfer(t, next, nil, false)
}

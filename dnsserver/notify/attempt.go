package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// Result is what came of a NOTIFY, or of an answer.
type Result string

// The results.
const (
	Acknowledged Result = "acknowledged"
	Refused      Result = "refused"     // NOTAUTH, REFUSED, NXDOMAIN and the like
	Failed       Result = "failed"      // SERVFAIL
	Silent       Result = "silent"      // no answer in time
	Unreachable  Result = "unreachable" // the system says so, or the NOTIFY cannot be made
	Ignored      Result = "ignored"     // a datagram that is no answer to what was sent: the NOTIFY goes on waiting
)

// Results are all of them.
func Results() []Result {
	return []Result{Acknowledged, Refused, Failed, Silent, Unreachable, Ignored}
}

// isAnswer reports whether the secondary is there.
func (r Result) isAnswer() bool { return r == Acknowledged || r == Refused || r == Failed }

// outcome is what came of one attempt.
type outcome struct {
	kind    Result
	problem string // in words, empty when it was acknowledged
	byKey   bool   // a refusal that may be one of the signature, or of its lack
	ignored int    // datagrams
}

// attempt is one NOTIFY to one secondary. What it reads never changes.
type attempt struct {
	ctx       context.Context
	cancel    context.CancelFunc
	secondary *secondary // for the Notifier alone
	telling   *telling   // so is this
	begun     time.Time

	address netip.AddrPort
	from    []netip.Addr
	apex    string
	soa     *dns.SOA
	key     *tsig.Key
	wait    time.Duration
}

// exchanger sends a packet to an address, from one of those that are given, and hands all that comes back from there
// to accept, until that takes one or ctx ends. Its error is accept's silence
// (context.DeadlineExceeded) or what the system says.
type exchanger func(ctx context.Context, from []netip.Addr, address netip.AddrPort, packet []byte, accept func([]byte) bool) error

// run tells the secondary and waits for its answer.
func (a *attempt) run(exchange exchanger) outcome {
	request, err := newRequest(a.apex, a.soa, a.key, a.begun)
	if err != nil {
		return outcome{kind: Unreachable, problem: fmt.Sprintf("making the NOTIFY: %v", err)}
	}
	ctx, cancel := context.WithTimeout(a.ctx, a.wait)
	defer cancel()
	var result outcome
	var ignored error
	err = exchange(ctx, a.from, a.address, request.packet, func(packet []byte) bool {
		taken, err := request.read(packet, time.Now())
		if err != nil {
			result.ignored++
			ignored = err
			return false
		}
		result.kind, result.problem, result.byKey = taken.kind, taken.problem, taken.byKey
		return true
	})
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		result.kind, result.problem = Silent, fmt.Sprintf("no answer within %s: is it there, and does it take UDP from this machine?", a.wait)
		if ignored != nil {
			result.problem = fmt.Sprintf("no answer that can be taken within %s: %v", a.wait, ignored)
		}
	default:
		result.kind, result.problem = Unreachable, fmt.Sprintf("cannot be reached: %v", reason(err))
	}
	return result
}

// reason is what the system says, without the sockets' addresses, which differ each
// time.
func reason(err error) error {
	var operation *net.OpError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}

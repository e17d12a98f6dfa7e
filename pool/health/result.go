package health

import (
	"net/netip"
	"time"
)

// Outcome is what a probe came to, in one word of a short list, for counting.
type Outcome string

// The outcomes. All but Success are failures.
const (
	Success     Outcome = "success"
	Timeout     Outcome = "timeout"     // the probe's time was over, once the name was resolved
	Resolution  Outcome = "resolution"  // the mirror's name has no address, or its resolver is silent
	Connection  Outcome = "connection"  // refused, unreachable, reset, closed early
	Certificate Outcome = "certificate" // expired, for another name, of an unknown authority
	Protocol    Outcome = "protocol"    // what came back is not TLS or not HTTP
	Status      Outcome = "status"      // another HTTP status than expected, or a redirect not to be followed
	Content     Outcome = "content"     // the body is not what was expected, or too old
	Slow        Outcome = "slow"        // less came in a second than the floor
	Altered     Outcome = "altered"     // a file is not what the origin has
	Missing     Outcome = "missing"     // a file or module that has to be there is not, or has another size
	Failed      Outcome = "failed"      // anything else: a target that cannot be probed, a panic
)

// Result is what one probe found.
type Result struct {
	Outcome Outcome // empty counts as Failed
	// Reason says it in words, short and exact: "connection refused",
	// "status 503, expected 200"; for a success what was seen: "status 200".
	Reason string
	// Address is what the probe connected to; the zero Addr if to nothing.
	Address netip.Addr
	// CertificateExpiry is the end of the server certificate's validity; zero
	// if none was seen.
	CertificateExpiry time.Time
	// NotMade tells that this machine could not look, wholly or in part: rsync or a command
	// is not installed here, an origin or index does not answer, there are no file
	// descriptors left. That is no fault of the target. A Success that was not made counts
	// for nothing, neither towards up nor towards down, and leaves a target unknown of which
	// nothing is known yet, but for NoProgram.
	NotMade bool
	// NoProgram tells of what was not made that a program is missing here. The success
	// counts all the same, unless such a program has found something wrong before.
	NoProgram bool
	// ByProgram tells that a program of this machine has found what is wrong.
	ByProgram bool
	Evidence  Evidence
}

// Evidence is what a probe saw, for those who have to believe it.
type Evidence struct {
	Status  int    // of the last HTTP answer; 0: there was none
	Version string // of HTTP in that answer, such as "HTTP/1.1"; empty: there was none
	// Bytes are how many of bodies came, and FirstBytes the SHA-256 of the first
	// body's first 4,096, in hexadecimal; empty: none came.
	Bytes      int64
	FirstBytes string
	// BytesPerSecond is the throughput where it was measured; 0: it was not.
	BytesPerSecond int64
	Steps          []Step // in the order in which they ended
}

// Step is one part of a probe.
type Step struct {
	Name  string        // "resolve", "connect", "tls", "request", "first byte", "body", ...
	Took  time.Duration // that it took by itself
	Words string        // what was seen, such as the certificate's names; may be empty
}

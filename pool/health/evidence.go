package health

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Bounds of what evidence holds, whatever a server does.
const (
	maxSteps   = 40   // of one probe
	maxWords   = 300  // bytes of a step's words
	firstBytes = 4096 // of the first body, that are hashed
)

// The names of steps that every http probe has.
const (
	stepResolve   = "resolve"
	stepConnect   = "connect"
	stepTLS       = "tls"
	stepRequest   = "request"
	stepFirstByte = "first byte"
	stepBody      = "body"
)

// The names of steps of rsync and exec probes.
const (
	stepGreeting = "greeting"
	stepModules  = "modules"
	stepListing  = "listing"
	stepCommand  = "command"
)

// step is the name of the step that a phase is, for those that end in it.
func (p phase) step() string {
	switch p {
	case resolving:
		return stepResolve
	case connecting:
		return stepConnect
	case shaking:
		return stepTLS
	case sending:
		return stepRequest
	case waiting:
		return stepFirstByte
	case reading:
		return stepBody
	case greeting:
		return stepGreeting
	case modules:
		return stepModules
	case files:
		return stepListing
	case executing:
		return stepCommand
	}
	return string(p)
}

// step notes that a part of the probe has ended now, which began when the part before it
// ended. The words may hold what a server sent: they are made printable, and cut.
func (a *attempt) step(name, words string) {
	a.ended(name, a.mark, words)
}

// ended notes a step that took from start until now.
func (a *attempt) ended(name string, start time.Time, words string) {
	a.mark = time.Now()
	if len(a.result.Evidence.Steps) == maxSteps {
		return
	}
	if a.result.Evidence.Steps == nil {
		a.result.Evidence.Steps = make([]Step, 0, 6) // resolve to body
	}
	a.result.Evidence.Steps = append(a.result.Evidence.Steps, Step{name, a.mark.Sub(start), clipTo(words, maxWords)})
}

// took notes bytes of an answer's body.
func (a *attempt) took(from *reply, b []byte) {
	a.result.Evidence.Bytes += int64(len(b))
	if a.opener == nil && len(b) > 0 {
		a.opener = from
	}
	if room := firstBytes - len(a.opening); a.opener == from && room > 0 {
		a.opening = append(a.opening, b[:min(room, len(b))]...)
	}
}

// failed notes the step that was not ended. What was only judged has no step of its own.
func (a *attempt) failed(f *failure) {
	switch f.outcome {
	case Timeout, Resolution, Connection, Certificate, Protocol, shortage:
	default:
		return
	}
	words := f.reason
	if a.refused != "" {
		words += "; certificate " + a.refused
	}
	a.step(a.doing.step(), words)
}

// sealed is the evidence with the hash of what was read first.
func (a *attempt) sealed() Evidence {
	e := a.result.Evidence
	if len(a.opening) > 0 {
		sum := sha256.Sum256(a.opening)
		e.FirstBytes = hex.EncodeToString(sum[:])
	}
	return e
}

// bytesInWords writes a size: "512 bytes", "64.0 kB", "3.2 MB", by powers of a thousand.
func bytesInWords(n int64) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 10_000:
		return strconv.FormatInt(n, 10) + " bytes"
	}
	return scaled(n, "B")
}

// rateInWords writes a rate: "512 B/s", "184 kB/s", "3.2 MB/s".
func rateInWords(n int64) string { return scaled(n, "B/s") }

func scaled(n int64, unit string) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d %s", n, unit)
	case n < 10_000:
		return fmt.Sprintf("%.1f k%s", float64(n)/1e3, unit)
	case n < 1_000_000:
		return fmt.Sprintf("%d k%s", n/1000, unit)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f M%s", float64(n/100_000)/10, unit)
	}
	return fmt.Sprintf("%.1f G%s", float64(n/100_000_000)/10, unit)
}

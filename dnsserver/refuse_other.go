//go:build !linux

package dnsserver

// refuseMore reports that only closing keeps packets from coming: a socket that
// is connected could not answer any more.
func refuseMore(workerSocket) bool { return false }

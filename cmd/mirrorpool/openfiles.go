package main

import "golang.org/x/sys/unix"

// spareFiles is how many files a node has open beside its TCP connections to the
// name server: sockets, databases, probes, the repository, clients of the redirect
// listener.
const spareFiles = 256

// warnFiles warns where the system lets the node open fewer files than it has
// places for connections. The Go runtime has raised the soft limit to the hard one.
func (n *node) warnFiles(config *config) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	needed := neededFiles(config.DNS.TCPConnections)
	if most := uint64(limit.Cur); most < needed {
		n.logger.Warn().Uint64("limit", most).Uint64("needed", needed).Int("dns.tcp_connections", config.DNS.TCPConnections).
			Msg("the system lets the node open fewer files than dns.tcp_connections needs: raise the limit (systemd: LimitNOFILE=), or take fewer connections")
	}
}

// neededFiles is how many are open where so many connections are: those that make
// room may take an eighth more for a moment.
func neededFiles(connections int) uint64 { return uint64(connections + connections/8 + spareFiles) }

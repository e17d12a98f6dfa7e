package hostnames

import (
	"fmt"
	"net"

	"github.com/miekg/dns"
)

// resolvConf is where a machine says what its resolvers are.
const resolvConf = "/etc/resolv.conf"

// machineServers reads the machine's own resolvers, which may change at any time. As for
// the C library, one on the machine itself is meant where there are none.
func machineServers(path string) ([]string, error) {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w; name a resolver in the configuration", path, err)
	}
	if len(conf.Servers) == 0 {
		conf.Servers = []string{"127.0.0.1"}
	}
	servers := make([]string, len(conf.Servers))
	for i, server := range conf.Servers {
		servers[i] = net.JoinHostPort(server, conf.Port)
	}
	return servers, nil
}

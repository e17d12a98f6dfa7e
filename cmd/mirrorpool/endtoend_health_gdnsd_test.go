//go:build e2e

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// startGdnsd runs gdnsd with a pool for each fault and the same times and thresholds. Its
// plugin multifo gives all addresses that are up.
func (lab *healthLab) startGdnsd() {
	lab.Helper()
	var types, pools, records []string
	for _, fault := range lab.faults {
		services := lab.gdnsdServices(fault)
		var names []string
		for name, settings := range services {
			names = append(names, name)
			types = append(types, fmt.Sprintf("  %s => { %s, up_thresh => %d, ok_thresh => %[3]d, down_thresh => %[3]d, interval => %[4]d, timeout => %[5]d }",
				name, settings, healthThreshold, healthInterval/time.Second, healthTimeout/time.Second))
		}
		var four, six []string
		for i := range healthMembers {
			four = append(four, fmt.Sprintf("m%d => %s", i+1, fault.memberAddress(i)))
			if fault.dual {
				six = append(six, fmt.Sprintf("m%d => %q", i+1, fault.memberAddress6(i)))
			}
		}
		pool := fmt.Sprintf("    %s => { service_types => [ %s ], addrs_v4 => { %s }", fault.label, strings.Join(names, ", "), strings.Join(four, ", "))
		if six != nil {
			pool += fmt.Sprintf(", addrs_v6 => { %s }", strings.Join(six, ", "))
		}
		pools = append(pools, pool+" }")
		records = append(records, fmt.Sprintf("%s %d DYNA multifo!%[1]s", fault.label, healthTTL/time.Second))
	}
	directory := filepath.Join(lab.directory, "gdnsd")
	lab.write("gdnsd/config", fmt.Sprintf(`
options => { listen => [ 127.0.0.1 ], dns_port => %d, min_ttl => 1, udp_threads => 1, tcp_threads => 1, run_dir => %[2]s/run, state_dir => %[2]s/state }
service_types => {
%[3]s
}
plugins => {
  multifo => {
%[4]s
  }
}
`, lab.gdnsdPort, directory, strings.Join(types, "\n"), strings.Join(pools, "\n")))
	lab.write("gdnsd/zones/gdnsd.test", "@ 60 SOA ns1 hostmaster ( 1 7200 900 1209600 60 )\n@ 60 NS ns1\nns1 60 A 127.0.0.1\n"+strings.Join(records, "\n")+"\n")
	lab.command("mkdir", "-p", directory+"/run", directory+"/state", directory+"/geoip")
	lab.start("gdnsd", "/usr/sbin/gdnsd", "-c", directory, "start")
	lab.eventually("gdnsd answers", 20*time.Second, func() bool { return accepts("127.0.0.1", lab.gdnsdPort) })
}

// gdnsdServices are the checks of a pool, by their names.
func (lab *healthLab) gdnsdServices(fault *faultPool) map[string]string {
	if fault.secure {
		return map[string]string{fault.label + "-tcp": "plugin => tcp_connect, port => 443"}
	}
	web := "plugin => http_status, port => 80, vhost => " + fault.label + ".gdnsd.test, url_path => "
	services := map[string]string{fault.label + "-trace": web + tracePath}
	if fault.gdnsd == gdnsdFiles {
		services[fault.label+"-file"] = web + imagePath
	}
	return services
}

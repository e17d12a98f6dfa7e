# NSD. Sourced by the peers that run it.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154
package=nsd
program=nsd
version=(nsd -v)

# serve_nsd ROUND_ROBIN: yes or no. The zone is written already.
serve_nsd() {
  # Its default limit of responses, 200 a second for a client, would end the
  # measurement; 100 TCP connections a server process would spoil it.
  cat >nsd.conf <<EOF
server:
    ip-address: 127.0.0.1@$port
    server-count: $cpus
    reuseport: yes
    username: ""
    zonesdir: "$directory"
    database: ""
    pidfile: "$directory/nsd.pid"
    xfrdfile: "$directory/xfrd.state"
    xfrdir: "$directory"
    zonelistfile: "$directory/zone.list"
    rrl-ratelimit: 0
    tcp-count: 1000
    tcp-query-count: 0
    tcp-timeout: 60
    minimal-responses: yes
    round-robin: $1
    verbosity: 0
remote-control:
    control-enable: no
zone:
    name: $zone
    zonefile: zone
EOF
  exec "$server" -d -c "$directory/nsd.conf"
}

# Knot DNS. Sourced by the peers that run it.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154
package=knot
program=knotd
version=(knotd -V)
# The runner has to give it processor 0 for its one worker.
notes=("binds its workers to processors 0 and up, whatever it was started on")

# serve_knot ROTATION SUBNET [MODULE]: whether it rotates the answers (on or
# off), whether it takes the client subnet (on or off), and the section of its
# module, whose id has to be "pool".
serve_knot() {
  local module=
  if [[ -n ${3:-} ]]; then
    module='module: mod-geoip/pool'
  fi
  cat >knot.conf <<EOF
server:
    rundir: "$directory"
    pidfile: "$directory/knot.pid"
    listen: 127.0.0.1@$port
    udp-workers: $cpus
    tcp-workers: $cpus
    background-workers: 1
    tcp-max-clients: 1000
    tcp-idle-timeout: 60
    tcp-io-timeout: 10000
    tcp-reuseport: on
    answer-rotation: $1
    edns-client-subnet: $2
    identity: ""
    nsid: ""
    version: ""
log:
  - target: stderr
    any: warning
database:
    storage: "$directory"
${3:-}
template:
  - id: default
    storage: "$directory"
    file: zone
    journal-content: none
    zonefile-sync: -1
    zonefile-load: whole
zone:
  - domain: $zone
    $module
EOF
  exec "$server" -c "$directory/knot.conf"
}

# PowerDNS Authoritative Server. Sourced by the peers that run it.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154
package=pdns-server
packages=(pdns-backend-bind)
program=pdns_server
version=(pdns_server --version)

available() {
  backend_available bind
}

# backend_available NAME: whether Debian's package of the backend is there.
backend_available() {
  compgen -G "/usr/lib/*/pdns/lib${1}backend.so" >/dev/null
}

# write_pdns_configuration: what all PowerDNS peers have in common. It has three
# backend threads by default, behind a queue; where answers come from memory, one
# is faster, for it runs in the receiver's thread.
write_pdns_configuration() {
  cat >pdns.conf <<EOF
local-address=127.0.0.1
local-port=$port
receiver-threads=$cpus
distributor-threads=1
reuseport=yes
socket-dir=$directory
config-dir=$directory
daemon=no
guardian=no
write-pid=no
disable-syslog=yes
log-dns-queries=no
log-dns-details=no
loglevel=3
security-poll-suffix=
max-tcp-connections=1000
max-tcp-connections-per-client=0
max-tcp-transactions-per-conn=0
max-tcp-connection-duration=0
tcp-idle-timeout=60
EOF
}

# cache_nothing: every answer is made anew.
cache_nothing() {
  cat >>pdns.conf <<EOF
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
EOF
}

# serve_pdns_zone: serves the master file zone from the bind backend.
serve_pdns_zone() {
  cat >named.conf <<EOF
options { directory "$directory"; };
zone "$zone" { type master; file "$directory/zone"; };
EOF
  cat >>pdns.conf <<EOF
launch=bind
bind-config=$directory/named.conf
EOF
  exec "$server" --config-dir="$directory"
}

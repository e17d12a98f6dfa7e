# gdnsd. Sourced by the peers that run it.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154
package=gdnsd
program=gdnsd
version=(gdnsd -V)

# weighted_addresses EQUAL FIRST LAST: the addresses of the pool's members FIRST
# to LAST as stanzas of the weighted plugin, with their weights or, where EQUAL
# is yes, all with the same.
weighted_addresses() {
  local i share
  for family in 4 6; do
    local -n addresses=pool$family
    echo "      addrs_v$family => {"
    for ((i = $2; i <= $3; i++)); do
      share=$(weight "$i")
      [[ $1 == no ]] || share=10
      echo "        member$i => [ ${addresses[i]}, $share ]"
    done
    echo "      }"
  done
}

# serve_gdnsd PLUGINS: the contents of its plugins section.
serve_gdnsd() {
  mkdir -p run state geoip zones
  mv zone "zones/$zone"
  cat >config <<EOF
options => {
  listen => [ 127.0.0.1 ]
  dns_port => $port
  udp_threads => $cpus
  tcp_threads => $cpus
  tcp_clients_per_thread => 1000
  tcp_timeout => 60
  run_dir => $directory/run
  state_dir => $directory/state
}
plugins => {
$1
}
EOF
  exec "$server" -c "$directory" start
}

# gdnsd. Sourced by the peers that run it.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154
package=gdnsd
program=gdnsd
version=(gdnsd -V)

# weighted_pool NAME MULTI MEMBER...: a resource of the weighted plugin with the
# pool's members of these indexes. With MULTI (true or false) each address is in
# or out by its own weight; equal weights are the only way to get several for
# sure, all of them. Without it, one is drawn by weight.
weighted_pool() {
  local name=$1 multi=$2 family i share
  shift 2
  echo "    $name => {"
  echo "      multi => $multi"
  for family in 4 6; do
    local -n addresses=pool$family
    echo "      addrs_v$family => {"
    for i in "$@"; do
      share=10
      if [[ $multi == false ]]; then share=$(weight "$i"); fi
      echo "        member$i => [ ${addresses[i]}, $share ]"
    done
    echo "      }"
  done
  echo "    }"
}

# serve_gdnsd_geoip MULTI: five data centres, ordered for every network by the
# distance of its city; each of them a weighted pool of four of the five members.
serve_gdnsd_geoip() {
  local database i
  local -a coordinates=('50.1, 8.7' '39.0, -77.5' '37.4, -122.0' '1.3, 103.8' '-23.5, -46.6')
  database=$(made_by_geodb city.mmdb)
  write_zone zone without-pool
  echo "dl $pool_ttl DYNA geoip!pool" >>zone
  serve_gdnsd "  geoip => {
    maps => {
      world => {
        geoip2_db => $database
        datacenters => [ place0, place1, place2, place3, place4 ]
        auto_dc_coords => {
$(for i in "${!coordinates[@]}"; do echo "          place$i => [ ${coordinates[i]} ]"; done)
        }
      }
    }
    resources => {
      pool => {
        map => world
        dcmap => {
$(for i in "${!coordinates[@]}"; do echo "          place$i => %weighted!pool$i"; done)
        }
      }
    }
  }
  weighted => {
$(for i in "${!coordinates[@]}"; do
    mapfile -t members < <(without "$i")
    weighted_pool "pool$i" "$1" "${members[@]}"
  done)
  }"
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

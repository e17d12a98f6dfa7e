#!/usr/bin/env bash
# Knot DNS with its geoip module in subnet mode: four records by the longest of
# many networks that has the client.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/knot.sh"
source "$peers/servers/knot-geoip.sh"
kind=geo
scenarios='pool pool-edns subnet do static nxdomain tcp latency'
records=4
notes+=(
  "mode subnet: $geodb_networks, a view of each"
  'no weights: the four records of a place are always the same, in the same order'
)
available() {
  module_available && can_make_networks
}
begin "$@"
pools=
for i in "${!pool4[@]}"; do
  pools+=${pools:+;}$(members "$i" | paste -s -d ,)
done
views=$(made_by_geodb views.conf -format knot-subnets -name "dl.$zone" -pools "$pools")
write_zone zone without-pool
serve_knot off on "mod-geoip:
  - id: pool
    config-file: $views
    ttl: $pool_ttl
    mode: subnet"

#!/usr/bin/env bash
# Knot DNS with its geoip module in geodb mode: four records by the country that
# a MaxMind database has for the client.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/knot.sh"
source "$peers/servers/knot-geoip.sh"
kind=geo
scenarios='pool pool-edns subnet do static nxdomain tcp latency'
records=4
notes+=(
  "mode geodb: city database of $geodb_networks, looked up for every answer; 75 countries"
  'no weights: the four records of a place are always the same, in the same order'
)
available() {
  module_available && can_make_networks
}
begin "$@"
database=$(made_by_geodb city.mmdb)
write_zone zone without-pool
{
  echo "dl.$zone:"
  i=0
  while read -r country; do
    echo "  - geo: $country"
    answer "$((i++ % 5))"
  done < <(geodb_countries)
  echo "  - geo: '*'"
  answer 0
} >views.conf
serve_knot off on "mod-geoip:
  - id: pool
    config-file: $directory/views.conf
    ttl: $pool_ttl
    mode: geodb
    geodb-file: $database
    geodb-key: country/iso_code"

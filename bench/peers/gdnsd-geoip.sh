#!/usr/bin/env bash
# gdnsd with its geoip plugin over its weighted plugin: one record by
# weight.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/gdnsd.sh"
kind=geo
scenarios='pool pool-edns subnet do static nxdomain tcp latency'
records=1
notes=(
  "city database of $geodb_networks; five data centres by distance (auto_dc_coords), merged at the start"
  'draws one of four by weight for every answer'
)
available() {
  can_make_networks
}
begin "$@"
serve_gdnsd_geoip false

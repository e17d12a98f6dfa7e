#!/usr/bin/env bash
# gdnsd with its geoip plugin over its weighted plugin: four
# records of equal weight.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/gdnsd.sh"
kind=geo
scenarios='pool pool-edns subnet do static nxdomain tcp latency'
records=4
notes=(
  "city database of $geodb_networks; five data centres by distance (auto_dc_coords), merged at the start"
  'multi: draws for each of four addresses; equal weights, so all are in every answer'
)
available() {
  can_make_networks
}
begin "$@"
serve_gdnsd_geoip true

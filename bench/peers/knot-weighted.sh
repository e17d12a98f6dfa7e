#!/usr/bin/env bash
# Knot DNS with its geoip module in weighted mode: one record, drawn by weight.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/knot.sh"
source "$peers/servers/knot-geoip.sh"
kind=weighted
records=1
notes+=('draws one of five by weight for every answer; no client places')
begin "$@"
write_zone zone without-pool
{
  echo "dl.$zone:"
  for i in "${!pool4[@]}"; do
    echo "  - weight: $(weight "$i")"
    echo "    A: ${pool4[i]}"
    echo "    AAAA: ${pool6[i]}"
  done
} >views.conf
serve_knot off off "mod-geoip:
  - id: pool
    config-file: $directory/views.conf
    ttl: $pool_ttl
    mode: weighted"

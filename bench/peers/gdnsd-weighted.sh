#!/usr/bin/env bash
# gdnsd with its weighted plugin as it comes: one record, drawn by weight.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/gdnsd.sh"
kind=weighted
records=1
notes=('draws one of five by weight for every answer; no client places')
begin "$@"
write_zone zone without-pool
echo "dl $pool_ttl DYNA weighted!pool" >>zone
serve_gdnsd "  weighted => {
$(weighted_pool pool false 0 1 2 3 4)
  }"

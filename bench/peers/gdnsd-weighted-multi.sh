#!/usr/bin/env bash
# gdnsd with its weighted plugin, "multi": each address is in or out by its own
# weight. With equal weights all are in, the only way to get several for sure.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/gdnsd.sh"
kind=weighted
notes=('multi: draws for each of five addresses; equal weights, so all are in every answer')
begin "$@"
write_zone zone without-pool
echo "dl $pool_ttl DYNA weighted!pool" >>zone
serve_gdnsd "  weighted => {
$(weighted_pool pool true 0 1 2 3 4)
  }"

#!/usr/bin/env bash
# PowerDNS with a Lua record, pickwrandom: one record, drawn by weight.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/pdns.sh"
kind=weighted
records=1
notes=(
  'caches off, for with them an answer stays the same for 20 s'
  'enable-lua-records=shared: one Lua state, kept; with =yes each query makes a new one and costs some 80 times as much'
)

# picks ADDRESS...: a Lua expression that draws one of them by weight.
picks() {
  local i=0 address list=
  for address in "$@"; do
    list+="${list:+, }{$(weight "$((i++))"), '$address'}"
  done
  echo "\"pickwrandom({$list})\""
}

begin "$@"
write_zone zone without-pool
{
  echo "dl $pool_ttl IN LUA A $(picks "${pool4[@]}")"
  echo "dl $pool_ttl IN LUA AAAA $(picks "${pool6[@]}")"
} >>zone
write_pdns_configuration
cache_nothing
echo 'enable-lua-records=shared' >>pdns.conf
serve_pdns_zone

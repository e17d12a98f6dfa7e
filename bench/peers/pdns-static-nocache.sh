#!/usr/bin/env bash
# PowerDNS with a plain record set and without caches: it makes every answer.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/pdns.sh"
kind=rotating
notes=('packet and query caches off')
begin "$@"
write_zone zone
write_pdns_configuration
cache_nothing
serve_pdns_zone

#!/usr/bin/env bash
# PowerDNS with a plain record set and its caches as they come: answers of the
# packet cache, for 20 seconds each.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/pdns.sh"
notes=('packet cache on (20 s), its default: an answer is copied, not made')
begin "$@"
write_zone zone
write_pdns_configuration
serve_pdns_zone

#!/usr/bin/env bash
# NSD with a plain record set: answers compiled at the start, always the same.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/nsd.sh"
begin "$@"
write_zone zone
serve_nsd no

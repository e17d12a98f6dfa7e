#!/usr/bin/env bash
# NSD with round-robin: the records in turn.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/nsd.sh"
kind=rotating
begin "$@"
write_zone zone
serve_nsd yes

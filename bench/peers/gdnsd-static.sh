#!/usr/bin/env bash
# gdnsd with a plain record set.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/gdnsd.sh"
kind=rotating
begin "$@"
write_zone zone
serve_gdnsd ''

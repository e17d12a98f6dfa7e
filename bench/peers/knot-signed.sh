#!/usr/bin/env bash
# Knot DNS with the zone signed beforehand.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/knot.sh"
packages=(bind9-utils)
scenarios=signed
available() {
  can_sign
}
begin "$@"
write_zone zone
sign_zone zone
serve_knot off off

#!/usr/bin/env bash
# Knot DNS with answer-rotation: the records in turn, by the query's id.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/knot.sh"
kind=rotating
begin "$@"
write_zone zone
serve_knot on off

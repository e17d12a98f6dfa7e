#!/usr/bin/env bash
# Builds the peers that are Go programs, from the module proxy, into bench/.cache/bin,
# where their scripts look for them. Not a peer itself.
#
#   build-go-peers.sh [NAME...]   these, or all: coredns geodns
#
# Exit status 1: at least one could not be built; the others are there.
set -euo pipefail
peers=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
if [[ $# -eq 0 ]]; then
  set -- coredns geodns
fi
export GOBIN=${peers%/*}/.cache/bin CGO_ENABLED=0
mkdir -p "$GOBIN"
failed=0
for name in "$@"; do
  # The peer's script names the package and its version.
  package=$("$peers/$name.sh" --describe | sed -n 's/^package: //p')
  echo "building $name: $package"
  if ! go install "$package"; then
    echo "${0##*/}: $name could not be built; the benchmark goes without it" >&2
    failed=1
  fi
done
exit "$failed"

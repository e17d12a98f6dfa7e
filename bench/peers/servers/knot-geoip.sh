# Knot DNS's geoip module. Sourced by the peers that run it, after knot.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154
packages=(knot-module-geoip)

# module_available: whether Debian's package of the module is there.
module_available() {
  compgen -G '/usr/lib/*/knot/modules*/geoip.so' >/dev/null
}

available() {
  module_available
}

# members INDEX: the addresses of the pool's members without one, a line each.
members() {
  local i
  for i in $(without "$1"); do echo "${pool4[i]}"; done
  for i in $(without "$1"); do echo "${pool6[i]}"; done
}

# answer INDEX: the records of a view, of the pool's members without one.
answer() {
  local four=() six=() i
  for i in $(without "$1"); do
    four+=("${pool4[i]}")
    six+=("${pool6[i]}")
  done
  local IFS=,
  echo "    A: [${four[*]}]"
  echo "    AAAA: [${six[*]}]"
}

# Sourced by every peer script of this directory; not a peer itself.
#
# A peer script NAME.sh is called in one of two ways:
#
#   NAME.sh PORT DIR CPUS   writes its configuration into DIR (fresh, private)
#                           and execs the server in the foreground on
#                           127.0.0.1:PORT, UDP and TCP, with CPUS workers.
#                           Exit status 77: the server is not installed.
#   NAME.sh --describe      prints what it is, one "key: value" a line:
#     package    the Debian package, or the Go package, that has the server
#     version    its version; left out where it is not installed
#     scenarios  the kinds of question it can be measured with, out of: pool
#                pool-edns subnet do static nxdomain tcp latency signed.
#                "subnet": chooses by the client subnet, with a scope.
#                "do": takes the DO bit; the zone is unsigned.
#                "signed": the zone is signed, and that is all it is for.
#     records    how many answer records a pool question gets
#     kind       static (always the same answer), rotating (the same records
#                in changing order), weighted (drawn by weight), geo (chosen
#                by the place of the client)
#     note       what is worth knowing when reading its figures
#
# A peer script sets the variables below, calls begin "$@", writes its
# configuration into the current directory (which is DIR then) and execs
# "$server". Every peer serves the same zone, example.test, unsigned
# but for those that are for questions to a signed one.
#
# shellcheck shell=bash
# The variables are set here for the peers, or there for the functions here.
# shellcheck disable=SC2034
set -euo pipefail
shopt -s inherit_errexit

peers=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
cache=$(dirname "$peers")/.cache

package=          # what to install
packages=()       # what else to install, beside package
program=          # the server's program
version=()        # the command that prints its version
scenarios='pool pool-edns do static nxdomain tcp latency'
records=5
kind=static
notes=()

pool4=(192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5)
pool6=(2001:db8::1 2001:db8::2 2001:db8::3 2001:db8::4 2001:db8::5)
hosts=50          # host0 to host49
pool_ttl=60
zone=example.test
serial=1

# What geodb makes.
geodb_networks='296,000 invented networks, 159,000 of them IPv4'

# Debian's servers are in /usr/sbin, which the PATH of a plain user lacks; those
# that build-go-peers.sh builds are in the cache.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:$cache/bin

# begin PORT DIR CPUS | --describe: describes the peer and ends, or makes sure
# that the server is there and goes to DIR. Sets server, port, directory, cpus.
begin() {
  server=$(command -v "$program" || true)
  if [[ ${1:-} == --describe ]]; then
    describe
    exit 0
  fi
  if [[ $# -ne 3 || ! $1 =~ ^[0-9]+$ || ! $3 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: ${0##*/} PORT DIR CPUS | --describe" >&2
    exit 64
  fi
  if [[ -z $server ]] || ! available; then
    echo "${0##*/}: not installed: $(way_to_install)" >&2
    exit 77
  fi
  port=$1
  cpus=$3
  mkdir -p "$2"
  cd "$2"
  directory=$PWD
}

# available: whether what the server needs beside its program is there. A peer
# that needs more defines it anew.
available() {
  true
}

# way_to_install: one line that says how to get the server.
way_to_install() {
  if [[ $package == */* ]]; then
    echo "run bench/peers/build-go-peers.sh ($package)"
  else
    echo "apt-get install --no-install-recommends $package${packages[*]:+ ${packages[*]}}"
  fi
}

describe() {
  local note number=''
  echo "package: $package"
  if [[ -n $server ]] && available; then
    # A server may end with an error for an option that it does not know, and
    # tell its version all the same.
    number=$("${version[@]}" 2>&1 | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?[^ ,]*' | head -n 1 || true)
  fi
  if [[ -n $number ]]; then
    echo "version: $number"
  fi
  echo "scenarios: $scenarios"
  echo "records: $records"
  echo "kind: $kind"
  for note in "${notes[@]}"; do
    echo "note: $note"
  done
}

# write_zone FILE [without-pool]: the zone as a master file. Without the pool,
# a module of the server supplies it.
write_zone() {
  local address i
  {
    echo "\$ORIGIN $zone."
    echo "\$TTL 3600"
    echo "@ IN SOA ns1 hostmaster $serial 7200 1800 1209600 60"
    echo "@ IN NS ns1"
    echo "@ IN NS ns2"
    echo "ns1 IN A 127.0.0.1"
    echo "ns2 IN A 127.0.0.1"
    if [[ ${2:-} != without-pool ]]; then
      for address in "${pool4[@]}"; do echo "dl $pool_ttl IN A $address"; done
      for address in "${pool6[@]}"; do echo "dl $pool_ttl IN AAAA $address"; done
    fi
    for ((i = 0; i < hosts; i++)); do echo "host$i IN A 127.0.1.$i"; done
  } >"$1"
}

# sign_zone FILE: signs the zone with a key of its own, ECDSA P-256 with NSEC.
sign_zone() {
  local key
  key=$(dnssec-keygen -q -a ECDSAP256SHA256 -f KSK -K "$directory" "$zone")
  dnssec-signzone -q -S -z -K "$directory" -d "$directory" -o "$zone" -f "$1.signed" "$1" "$key" >/dev/null
  mv "$1.signed" "$1"
}

# can_sign: whether sign_zone can do its work.
can_sign() {
  command -v dnssec-signzone >/dev/null
}

# weight INDEX: the weight of the pool's member INDEX, from 0: 10, 20, ... 50.
weight() {
  echo $((($1 + 1) * 10))
}

# without INDEX: the indexes of the pool's members but one: the candidates of a
# place.
without() {
  local i
  for ((i = 0; i < ${#pool4[@]}; i++)); do
    if [[ $i -ne $1 ]]; then echo "$i"; fi
  done
}

# made_by_geodb FILE OPTION...: the path of a file of invented networks and
# places, which geodb makes once for all peers and runs. It is kept in the cache,
# until geodb or its options change.
made_by_geodb() {
  local name=$1 version path
  shift
  version=$({ cat "$peers"/geodb/*.go; echo "$*"; } | sha256sum | cut -c 1-16)
  path=$cache/geodb/$version-$name
  if [[ ! -s $path ]]; then
    mkdir -p "$cache/geodb"
    (cd "$peers" && go run ./geodb -o "$path" "$@")
    find "$cache/geodb" -name "*-$name" ! -path "$path" -delete
  fi
  echo "$path"
}

# geodb_countries: the country codes of those places, a line each.
geodb_countries() {
  sed -nE 's/^\t\t\{"[A-Z]{2}", "([A-Z]{2})", .*/\1/p' "$peers/geodb/places.go"
}

# can_make_networks: whether made_by_geodb can do its work.
can_make_networks() {
  command -v go >/dev/null
}

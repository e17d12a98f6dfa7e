#!/usr/bin/env bash
# geodns: four of five records drawn by weights that depend on the country that
# a MaxMind database has for the client.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
package=github.com/abh/geodns/v3@v3.4.1
program=geodns
version=(geodns -version)
kind=geo
scenarios='pool pool-edns subnet do static nxdomain tcp latency'
records=4
notes=(
  "city database of $geodb_networks, looked up for every answer; 75 countries"
  'draws four of five by the weights of the country for every answer'
  'does not compress names: 167 bytes for four A records, not 107'
  'closes a TCP connection after 128 questions; no option for it'
)
available() {
  can_make_networks
}

# members POOL SHIFT: the addresses of pool4 or pool6 with their weights, which
# move on by SHIFT members.
members() {
  local -n addresses=$1
  local i list=
  for i in "${!addresses[@]}"; do
    list+="${list:+, }[\"${addresses[i]}\", $(weight "$(((i + $2) % 5))")]"
  done
  echo "[$list]"
}

# label NAME SHIFT: the pool for one country.
label() {
  echo "    \"$1\": { \"ttl\": $pool_ttl, \"a\": $(members pool4 "$2"), \"aaaa\": $(members pool6 "$2") },"
}

begin "$@"
database=$(made_by_geodb city.mmdb)
mkdir -p zones geoip
ln -sf "$database" geoip/GeoLite2-City.mmdb
ln -sf "$database" geoip/GeoLite2-Country.mmdb
{
  echo '{'
  echo "  \"serial\": $serial, \"ttl\": 3600, \"max_hosts\": $records, \"targeting\": \"country @\","
  echo '  "data": {'
  label dl 0
  index=0
  while read -r country; do
    label "dl.$country" "$((++index))"
  done < <(geodb_countries | tr '[:upper:]' '[:lower:]')
  for ((i = 0; i < hosts; i++)); do
    echo "    \"host$i\": { \"a\": [[\"127.0.1.$i\", 0]] },"
  done
  for name in ns1 ns2; do
    echo "    \"$name\": { \"a\": [[\"127.0.0.1\", 0]] },"
  done
  echo "    \"\": { \"ns\": [\"ns1.$zone.\", \"ns2.$zone.\"] }"
  echo '  }'
  echo '}'
} >"zones/$zone.json"
cat >zones/geodns.conf <<EOF
[dns]
detailedmetrics = false
[geoip]
directory = $directory/geoip
EOF
export GOMAXPROCS=$cpus
exec "$server" -config "$directory/zones" -interface 127.0.0.1 -port "$port" -http ''

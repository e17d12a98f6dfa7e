#!/usr/bin/env bash
# PowerDNS with its geoip backend: the pool of the client's country in a MaxMind
# database, one record of it, drawn by weight.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
source "$peers/servers/pdns.sh"
packages=(pdns-backend-geoip)
kind=geo
scenarios='pool pool-edns subnet do static nxdomain tcp latency'
records=1
notes=(
  'answers with the scope of a whole address, /32 or /128, whatever the network'
  "city database of $geodb_networks, looked up for every answer; 75 countries"
  'caches off, for with them an answer stays the same for 20 s'
)
available() {
  backend_available geoip && can_make_networks
}
begin "$@"
database=$(made_by_geodb city.mmdb)
{
  echo 'domains:'
  echo "- domain: $zone"
  echo "  ttl: 3600"
  echo '  records:'
  echo "    $zone:"
  echo "      - soa: ns1.$zone hostmaster.$zone $serial 7200 1800 1209600 60"
  echo "      - ns: ns1.$zone"
  echo "      - ns: ns2.$zone"
  for name in ns1 ns2; do
    echo "    $name.$zone:"
    echo '      - a: 127.0.0.1'
  done
  for ((i = 0; i < hosts; i++)); do
    echo "    host$i.$zone:"
    echo "      - a: 127.0.1.$i"
  done
  index=0
  while read -r country; do
    echo "    $country.pool.$zone:"
    for i in $(without "$((index++ % 5))"); do
      echo "      - a: { content: \"${pool4[i]}\", ttl: $pool_ttl, weight: $(weight "$i") }"
      echo "      - aaaa: { content: \"${pool6[i]}\", ttl: $pool_ttl, weight: $(weight "$i") }"
    done
  done < <(geodb_countries | tr '[:upper:]' '[:lower:]')
  echo '  services:'
  echo "    dl.$zone: '%cc.pool.$zone'"
} >zones.yaml
write_pdns_configuration
cache_nothing
cat >>pdns.conf <<EOF
launch=geoip
geoip-zones-file=$directory/zones.yaml
geoip-database-files=mmdb:$database
edns-subnet-processing=yes
EOF
exec "$server" --config-dir="$directory"

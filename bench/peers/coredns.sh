#!/usr/bin/env bash
# CoreDNS with its file and loadbalance plugins: the records in random order.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
package=github.com/coredns/coredns@v1.15.0
program=coredns
version=(coredns -version)
kind=rotating
notes=('does not compress names where an answer fits without: 200 bytes for five A records, not 125')
begin "$@"
write_zone zone
cat >Corefile <<EOF
$zone:$port {
  bind 127.0.0.1
  multisocket $cpus
  timeouts {
    idle 60s
  }
  file $directory/zone
  minimal
  loadbalance round_robin
}
EOF
export GOMAXPROCS=$cpus
exec "$server" -quiet -conf "$directory/Corefile"

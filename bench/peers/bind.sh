#!/usr/bin/env bash
# BIND 9 with the order of the records at random.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
package=bind9
program=named
version=(named -v)
kind=rotating
begin "$@"
write_zone zone
cat >named.conf <<EOF
options {
  directory "$directory";
  listen-on port $port { 127.0.0.1; };
  listen-on-v6 { none; };
  pid-file none;
  lock-file none;
  session-keyfile "$directory/session.key";
  managed-keys-directory "$directory";
  recursion no;
  allow-query { any; };
  minimal-responses yes;
  rrset-order { order random; };
  dnssec-validation no;
  notify no;
  querylog no;
  empty-zones-enable no;
  tcp-clients 10000;
  tcp-listen-queue 1024;
  tcp-idle-timeout 600;
};
controls { };
logging {
  channel errors { stderr; severity error; };
  category default { errors; };
};
zone "$zone" { type primary; file "$directory/zone"; };
EOF
exec "$server" -c "$directory/named.conf" -n "$cpus" -f

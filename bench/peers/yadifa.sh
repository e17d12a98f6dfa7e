#!/usr/bin/env bash
# YADIFA with a plain record set.
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
package=yadifa
program=yadifad
version=(yadifad -V)
kind=rotating
begin "$@"
mkdir -p keys log xfr
write_zone zone
# 255 TCP connections are the most that it takes. It takes 127.0.0.1 for a
# secondary of the zone, whose connections have a limit of their own.
cat >yadifad.conf <<EOF
<main>
    chroot off
    daemonize off
    logpath "$directory/log"
    pidfile "$directory/yadifad.pid"
    datapath "$directory"
    keyspath "$directory/keys"
    xfrpath "$directory/xfr"
    listen 127.0.0.1 port $port
    uid $(id -un)
    gid $(id -gn)
    allow-query any
    queries-log-type 0
    edns0-max-size 1232
    statistics off
    thread-count-by-address $cpus
    max-tcp-queries 255
    max-tcp-queries-per-address 255
    max-secondary-tcp-queries 255
    tcp-query-min-rate 0
</main>
<rrl>
    enabled no
</rrl>
<zone>
    domain $zone
    file zone
    type master
    notify-auto no
</zone>
<channels>
    stderr STDERR
</channels>
<loggers>
    system EMERG,ALERT,CRIT,ERR stderr
    server EMERG,ALERT,CRIT,ERR stderr
</loggers>
EOF
exec "$server" -c "$directory/yadifad.conf"

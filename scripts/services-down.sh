#!/usr/bin/env bash
# make services-down: stops what make services started. The data stays under .run for the next time.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/docker.sh"

[ -d "$run" ] || exit 0
lock_run
for name in $(daemons role-); do
  ! daemon_alive "$name" || die "$name still runs and needs the servers" "stop everything with: make down"
done
if [ "$(cat "$run/via" 2>/dev/null)" = docker ]; then docker_down; fi
# The databases last: what writes to them goes first. A server gets half a minute to put its data in order.
for name in $(daemons redis) $(daemons kafka) $(daemons mysql) $(daemons mariadb); do
  stop_daemon "$name" 30
done
# An env file of servers that are gone would send make token and the tests astray.
rm -f "$run/env" "$run/via" "$run/db"
say "services are stopped"

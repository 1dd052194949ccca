# shellcheck shell=bash
# The same servers as containers, where a Docker engine runs. Sourced by services.sh and services-down.sh.
# docker/compose.yaml has the servers of the product, docker/compose.test.yaml adds those that only the tests use.

docker_works() { have docker && docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

# One compose project a checkout, so that two checkouts do not share containers. Compose fills in the whole file before
# it does anything, so that even `ps` and `down` need a value for every variable that the file insists on.
docker_compose() (
  for name in DATABASE_PASSWORD TEST_DATABASE_PASSWORD DATABASE_ROOT_PASSWORD AUTH_HS256_SECRET \
    REDIS_NODE_1 REDIS_NODE_2 REDIS_NODE_3; do
    export "$name=${!name:-1}"
  done
  project=firstcome-$(printf '%s' "$root" | cksum | cut -d' ' -f1)
  docker compose -p "$project" -f "$root/docker/compose.yaml" -f "$root/docker/compose.test.yaml" "$@" 9>&-
)

docker_alive() { [ -n "$(docker_compose ps -q --status running "$1" 2>/dev/null)" ]; }

# docker_port NAME SERVICE: like choose_port, but it is the container that may hold the port of last time.
docker_port() {
  if docker_alive "$2" && [ -n "$(port_of "$1")" ]; then port_of "$1"; else choose_port "$1" "$1"; fi
}

by_docker() {
  local db=$1 node cluster=
  docker_works || die "VIA=docker, and no Docker engine with compose answers" "see what: docker info; docker compose version"
  say "servers by docker compose; the first time pulls the images"
  KAFKA_PORT=$(docker_port kafka kafka)
  REDIS_PORT=$(docker_port redis redis)
  REDIS_TEST_PORT=$(docker_port redis-test redis-test)
  for node in 1 2 3; do
    cluster=$cluster,$(docker_port "redis-cluster-$node" redis-cluster)
  done
  IFS=, read -r _ REDIS_NODE_1 REDIS_NODE_2 REDIS_NODE_3 <<<"$cluster"
  MYSQL_PORT=$(docker_port mysql mysql)
  MARIADB_PORT=$(docker_port mariadb mariadb)
  DATABASE_PASSWORD=$(secret database_password)
  TEST_DATABASE_PASSWORD=$(secret test_database_password)
  DATABASE_ROOT_PASSWORD=$(secret database_root_password)
  AUTH_HS256_SECRET=$(secret auth_secret)
  export KAFKA_PORT REDIS_PORT REDIS_TEST_PORT REDIS_NODE_1 REDIS_NODE_2 REDIS_NODE_3 MYSQL_PORT MARIADB_PORT
  export DATABASE_PASSWORD TEST_DATABASE_PASSWORD DATABASE_ROOT_PASSWORD AUTH_HS256_SECRET
  docker_compose up -d --wait --wait-timeout 300 kafka redis redis-test redis-cluster "$db"
  export kafka_addr=127.0.0.1:$KAFKA_PORT redis_addr=127.0.0.1:$REDIS_PORT redis_test_addr=127.0.0.1:$REDIS_TEST_PORT
  export cluster_addrs=127.0.0.1:$REDIS_NODE_1,127.0.0.1:$REDIS_NODE_2,127.0.0.1:$REDIS_NODE_3
}

docker_down() { docker_compose down; }

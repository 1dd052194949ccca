#!/usr/bin/env bash
# make chaos [FAULTS=n] [SEED=s] [KEEP=1] [REPORT=file] [ARGS=…]: faults on a stack of its own (Kafka, a pair of Redis
# servers, MySQL, two of each role), and the verdict on what is left. Without SEED a fresh one, which it prints. Needs the
# servers' programs, which make services installs; starts and stops its own, on free loopback ports.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/artifacts.sh"
source "$root/scripts/lib/tools.sh"
need_go

mkdir -p "$run/log"
need_java
fetch_kafka
[ "$(uname -sm)" != "Linux x86_64" ] || fetch_mysql # elsewhere MariaDB, if it is installed
need_package redis-server redis-server
need_space "${TMPDIR:-/tmp}" 4096

args=(-faults "${FAULTS:-80}" -bin "$root/bin")
[ -z "${SEED:-}" ] || args+=(-seed "$SEED")
[ -z "${KEEP:-}" ] || args+=(-keep)
[ -z "${REPORT:-}" ] || args+=(-report "$REPORT")
cd "$root"
CGO_ENABLED=0 go build -trimpath -o bin/chaos ./e2e/cmd/chaos
exec bin/chaos "${args[@]}" "$@"

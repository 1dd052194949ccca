#!/usr/bin/env bash
# make bench [ARGS=…]: measures the claim path of the stack that make up started, in turns with an empty handler, and
# checks the outcome. One file a run in bench/results.
source "$(dirname "$0")/lib/base.sh"

load_env || true # no file, no addresses: the next line says so
[ -n "${FIRSTCOME_API_ADDRS:-}" ] || die "there is no running stack in .run/env to measure" "start one: make up"
cd "$root"
umask 022 # the results are part of the repository
exec go run ./bench/cmd/bench -out bench/results "$@"

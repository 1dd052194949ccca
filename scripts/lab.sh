#!/usr/bin/env bash
# make lab [ARGS=…]: the ways to issue a limited number of coupons, side by side on the servers of make up. Prints the
# table and keeps it, the figures and the chart in bench/results.
source "$(dirname "$0")/lib/base.sh"

load_env || true # no file, no addresses: the next line says so
[ -n "${FIRSTCOME_API_ADDRS:-}" ] || die "there is no running stack in .run/env" "start one, whose consumers the laboratory needs: make up CONSUMERS=2"
cd "$root"
umask 022 # the results are part of the repository
mkdir -p bin
go build -o bin/lab ./bench/cmd/lab
exec bin/lab "$@"

#!/usr/bin/env bash
# make bench [QUICK=1] [ARGS=…]: measures firstcome beside what it stands on, on the servers of make services, with roles,
# a database and a topic of the harness's own. One file a run in bench/results.
source "$(dirname "$0")/lib/base.sh"

load_env || die "no servers are described in .run/env" "start them: make services"
cd "$root"
umask 022 # the results are part of the repository
go build -o bin/ ./bench/cmd/bench ./bench/cmd/lab
exec bin/bench ${QUICK:+-quick} "$@"

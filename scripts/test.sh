#!/usr/bin/env bash
# make test [ARGS=…]: everything that needs no server, over all modules of the workspace.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/tools.sh"
need_go

# A setting of a real stack that lies about in the environment must not turn these into tests of that stack.
for name in $(compgen -e FIRSTCOME_ || true); do unset "$name"; done

race=$(race_flag)
if [ -n "$race" ]; then
  say "go test with the race detector ($(cd "$root" && go env CC) is here)"
else
  say "go test without the race detector: it needs a C compiler and CGO_ENABLED=1"
fi
# shellcheck disable=SC2086
run_tests test $race "$@" work

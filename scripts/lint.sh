#!/usr/bin/env bash
# make lint [ARGS=--fix]: golangci-lint with the rules of .golangci.yaml over all modules, and shellcheck over the
# scripts where it is installed.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/tools.sh"
need_go
need_golangci_lint

cd "$root"
patterns=$(module_patterns)
failed=0
# shellcheck disable=SC2086
"$tools/golangci-lint" run --allow-serial-runners "$@" $patterns || failed=1
if have shellcheck; then
  shellcheck -a scripts/*.sh docker/*.sh docs/spec/*.sh .ci/run || failed=1
else
  say "shellcheck is not installed: the scripts were not looked at (Debian package shellcheck)"
fi
exit $failed

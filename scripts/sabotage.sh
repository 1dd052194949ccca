#!/usr/bin/env bash
# make sabotage [ONLY=name,name] [FAST=1]: breaks the product in small ways, one at a time and in a copy, and prints which
# test caught which. Status 1 when one survives (a test is missing) or when the list no longer fits the code. FAST=1 is
# the half that needs seconds a row. The list: e2e/cmd/sabotage/list.go.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/tools.sh"
need_go

# Some rows need a real database; without one they are left out, and the table says so.
load_env || true
mkdir -p "$run"
(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$run/sabotage" ./e2e/cmd/sabotage)
exec "$run/sabotage" -root "$root" ${FAST:+-fast} ${ONLY:+-only "$ONLY"}

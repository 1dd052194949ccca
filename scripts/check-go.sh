#!/usr/bin/env bash
# Says what is wrong with this machine's Go before the Go command says it in its own way. Nothing to say: silent.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/tools.sh"
need_go

#!/usr/bin/env bash
# make fuzz [FUZZTIME=10s] [ONLY=FuzzDSN]: every fuzz target of the product for so long each, after the inputs kept in its
# testdata. What a target finds is written there by go test, to be kept with the mend.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/tools.sh"
need_go

time=${FUZZTIME:-10s}
case $time in *[0-9]s | *[0-9]m | *[0-9]x) ;; *) die "FUZZTIME=$time is no time" "take 10s, 2m, or 1000x for so many inputs" ;; esac

cd "$root"
# A setting of a real stack that lies about in the environment is none of a fuzz target's business.
for name in $(compgen -e FIRSTCOME_ || true); do unset "$name"; done

ran=0 failed=0
while IFS=: read -r file name; do
  [ -z "${ONLY:-}" ] || [ "$ONLY" = "$name" ] || continue
  began=$SECONDS
  log=$(mktemp)
  # A shrinking input would be worked on for a minute by default, however short FUZZTIME is.
  if go test -run "^$name\$" -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 5s "./$(dirname "$file")" >"$log" 2>&1; then
    execs=$(grep -o 'execs: [0-9]*' "$log" | tail -1 | cut -d' ' -f2 || true)
    note "$name" "$(dirname "$file"): ${execs:-0} inputs, $((SECONDS - began)) s"
  else
    failed=$((failed + 1))
    warn "$name in $(dirname "$file") failed:"
    sed 's/^/    | /' "$log" >&2
  fi
  rm -f "$log"
  ran=$((ran + 1))
done < <(grep -rhoH --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*(f \*testing.F)' api batch consumer core standalone |
  sed -E 's/:func (Fuzz[A-Za-z0-9_]*).*/:\1/' | sort)

[ "$ran" -gt 0 ] || die "there is no fuzz target${ONLY:+ $ONLY}"
say "$ran fuzz targets, $failed failed"
[ "$failed" -eq 0 ]

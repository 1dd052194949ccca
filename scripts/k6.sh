#!/usr/bin/env bash
# make k6 [SCRIPT="stages constant spike"] [ARGS=…]: the load scripts of bench/k6 against the stack of make up, each with
# a coupon of its own, then the auditor. k6 is built from source at a pinned version. What each run says at its end is
# kept in bench/results. THINK is how long a user of the staged load thinks, in seconds (2). k6 keeps an interpreter a user, and
# with Go's usual collector takes more of the processor than all it measures, hence GOGC. Status 0: all thresholds held and the auditor found nothing.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/tools.sh"
need_go
need_tool k6 go.k6.io/k6 v1.8.1 "a minute or two, once"

load_env || true # no file, no addresses: the next line says so
[ -n "${FIRSTCOME_API_ADDRS:-}" ] || die "there is no running stack in .run/env to load" "start one: make up API=2 CONSUMERS=2"
cd "$root"
umask 022 # the results are part of the repository
mkdir -p bench/results
api=http://${FIRSTCOME_API_ADDRS//,/,http://}
failed=0
for script in ${SCRIPT:-stages constant spike}; do
  [ -f "bench/k6/$script.js" ] || die "there is no bench/k6/$script.js" "take stages, constant or spike"
  say "k6: $script"
  API=$api SECRET=$FIRSTCOME_AUTH_HS256_SECRET PLACES=${PLACES:-100000} THINK=${THINK:-2} GOGC=${GOGC:-800} \
    "$tools/k6" run --no-usage-report --summary-export "bench/results/k6-$script-$(date -u +%F).json" "$@" "bench/k6/$script.js" ||
    failed=1
done
say "the auditor compares gates, topic and rows"
bin/batch verify || failed=1
exit "$failed"

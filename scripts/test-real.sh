#!/usr/bin/env bash
# make test-real [DBS="mysql mariadb"] [ARGS=…]: the conformance suites and the end-to-end tests on the servers of make
# services. A server that should be there and is not fails here: a suite that skipped in silence would look green. The
# ledger's suite runs on every database that runs, the end-to-end tests on the one that make services chose last; DBS
# insists on more than that one.
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/tools.sh"
need_go

# What speaks to a server, and what stands on that.
packages="./core/admission/... ./core/journal/... ./core/ledger/... ./core/publish/... ./core/reconcile/... ./consumer/...
  ./batch/... ./core/audit/... ./e2e/..."

load_env || die "no servers are described in .run/env" "start them: make services"
db=$(cat "$run/db")
expected="FIRSTCOME_REDIS_ADDRS FIRSTCOME_KAFKA_BROKERS FIRSTCOME_DATABASE_DSN FIRSTCOME_TEST_REDIS_ADDR
  FIRSTCOME_TEST_REDIS_CLUSTER_ADDRS FIRSTCOME_TEST_KAFKA_BROKERS"
for each in ${DBS:-$db}; do
  case $each in
    mysql) expected="$expected FIRSTCOME_TEST_MYSQL_DSN" ;;
    mariadb) expected="$expected FIRSTCOME_TEST_MARIADB_DSN" ;;
    *) die "DBS=$DBS: $each is not known" "take mysql, mariadb or both" ;;
  esac
done
for name in $expected; do
  [ -n "${!name:-}" ] || die "$name is not in .run/env, and its suite would be skipped" "run: make services with DB=mysql or DB=mariadb"
done
for addr in ${FIRSTCOME_REDIS_ADDRS//,/ } ${FIRSTCOME_TEST_REDIS_ADDR//,/ } ${FIRSTCOME_TEST_REDIS_CLUSTER_ADDRS//,/ } \
  ${FIRSTCOME_KAFKA_BROKERS//,/ }; do
  somebody_at "${addr##*:}" || die "nothing listens on $addr, which .run/env names" "run: make services DB=$db"
done

say "tests on Kafka $FIRSTCOME_KAFKA_BROKERS, Redis $FIRSTCOME_TEST_REDIS_ADDR and $FIRSTCOME_TEST_REDIS_CLUSTER_ADDRS, $db"
race=$(race_flag)
# -count=1: a result remembered from other servers says nothing about these. -timeout: of one package; the end-to-end tests wait
# most of theirs, for brokers, leases and sessions.
# shellcheck disable=SC2086
run_tests "real-$db" $race -count=1 -timeout=30m "$@" $packages

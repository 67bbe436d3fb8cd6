#!/usr/bin/env bash
# The store on PostgreSQL: the store's whole suite, several real daemons on one database, and the simulator, for
# CONTACTD_SIM_MINUTES minutes (5 unless told otherwise), each with the seeds that come next.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/postgres.sh"
cd "$here/../.."
passed=0
failed=0

# Counts the tests that cargo says have passed and failed; a command that fails without a failed test counts as one.
run() {
    local what=$1 status=0 ok bad
    shift
    "$@" >"$WORK/$what.log" 2>&1 || status=$?
    ok=$(sed -n 's/^test result: .* \([0-9]*\) passed; .*/\1/p' "$WORK/$what.log" | awk '{n += $1} END {print n + 0}')
    bad=$(sed -n 's/^test result: .*; \([0-9]*\) failed; .*/\1/p' "$WORK/$what.log" | awk '{n += $1} END {print n + 0}')
    grep -E 'taken over|run again|histories' "$WORK/$what.log" | sed 's/^/     /' || true
    if [ "$status" -ne 0 ] || [ "$bad" -ne 0 ] || [ "$ok" -eq 0 ]; then
        [ "$bad" -ne 0 ] || bad=1
        echo "FAIL $what: its log is $WORK/$what.log"
        grep -A 6 'panicked at' "$WORK/$what.log" | head -n 40 || true
    else
        echo "ok   $what: $ok tests"
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
}

postgres_start
trap postgres_stop EXIT
export CONTACTD_TEST_POSTGRES=$postgres_url CONTACTD_TEST_POSTGRES_RESTART=$postgres_restart

run store cargo test --quiet --test store -- --ignored --nocapture postgres:: concurrent::
run without-tls cargo test --quiet --test store -- --ignored --nocapture tls::off
postgres_with_tls
export CONTACTD_TEST_POSTGRES_CA=$postgres_ca
run tls cargo test --quiet --test store -- --ignored --nocapture tls::on
run daemons cargo test --quiet --test cluster -- --ignored --nocapture --test-threads=1
run histories env CONTACTD_SIM_POSTGRES=1 CONTACTD_SIM_SEEDS=0..1 cargo test --quiet --test sim

# Random histories for as long as there is time, in portions so that a failure is told soon.
minutes=${CONTACTD_SIM_MINUTES:-5}
until=$((SECONDS + minutes * 60))
seed=0
while [ $SECONDS -lt $until ]; do
    run "simulator-$seed" env CONTACTD_SIM_POSTGRES=1 CONTACTD_SIM_SEEDS=$seed..$((seed + 50)) \
        cargo test --quiet --test sim random_histories
    seed=$((seed + 50))
    [ "$failed" -eq 0 ] || break
done
echo "     $seed random histories on PostgreSQL in $minutes min"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

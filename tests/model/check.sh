#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/model/check.sh
#
# Checks the model with spin: every configuration must hold, and every mutant must be found. Says one line about each.
set -eu

model=$(cd "$(dirname "$0")" && pwd)/queue.pml
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
failures=0

# search OPTIONS...: sets `verdict` to holds, or to what spin has found; to nothing if the search was not complete.
search() {
    rm -f pan* ./*.trail
    verdict=
    figures=
    if ! spin -a "$@" "$model" >spin.log 2>&1 ||
        ! gcc -w -DSAFETY -DCOLLAPSE -DMEMLIM=2800 -o pan pan.c >gcc.log 2>&1; then
        cat spin.log gcc.log 2>/dev/null || true
        return
    fi
    timeout 120 ./pan -m200000 >pan.log 2>&1 || true
    figures=$(awk '/states, stored/ { states = $1 } /elapsed time/ { time = $4 }
                   END { printf "%s states, %s s", states, time }' pan.log)
    if grep -q '^pan:1:.*\(assertion violated\|invalid end state\)' pan.log; then
        verdict=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' pan.log)
    elif grep -q 'errors: 0$' pan.log && grep -q '^pan: elapsed time' pan.log &&
        ! grep -qi 'too small\|out of memory\|reached limit\|search not completed\|truncated\|pan:1:' pan.log; then
        verdict=holds
    fi
}

holds() {
    search "$@"
    if [ "$verdict" = holds ]; then
        echo "holds: $* ($figures)"
    else
        echo "FAILED: $*: ${verdict:-search not complete} ($figures)"
        failures=$((failures + 1))
    fi
}

finds() {
    search "$@"
    if [ -n "$verdict" ] && [ "$verdict" != holds ]; then
        echo "found: $* ($figures): $verdict"
    else
        echo "NOT FOUND: $*: ${verdict:-search not complete} ($figures)"
        failures=$((failures + 1))
    fi
}

# Laps, with one of each; deaths of any two.
holds -DCAP=1 -DMESSAGES=3
holds -DCAP=2 -DMESSAGES=2
holds -DCAP=1 -DCRASHES=2
# A newcomer takes the entry of a dead one, and may die, too.
holds -DCAP=1 -DMESSAGES=2 -DCRASHES=2 -DREBIRTHS=1
# Rivals.
holds -DCAP=1 -DPRODUCERS=2 -DMESSAGES=1
holds -DCAP=1 -DCONSUMERS=2 -DMESSAGES=1
# Requeues, up to the saturated one, and drops.
holds -DPREFILLED -DPRODUCERS=0 -DCONSUMERS=2 -DTHROWS=3
holds -DPREFILLED -DPRODUCERS=0 -DCONSUMERS=2 -DCRASHES=2 -DMAX_DEATHS=2 -DRECOVERIES=2
holds -DCAP=1 -DMESSAGES=1 -DCLOSING
# Batches, killed half-way.
holds -DBATCHES -DCAP=2 -DMESSAGES=2
holds -DBATCHES -DCAP=2 -DMESSAGES=2 -DCRASHES=2

finds -DMUTANT_INTENT_AFTER_CLAIM
finds -DMUTANT_ALIVE_IGNORED
finds -DMUTANT_INTENTS_FIRST
finds -DMUTANT_COUNTERS_BEFORE_THE_DEAD -DCAP=2
finds -DMUTANT_LOSER_KEEPS_INTENT -DCONSUMERS=2
finds -DMUTANT_REMOVED_EARLY -DCAP=2
finds -DMUTANT_REMOVED_EARLY -DCRASHES=2 -DREBIRTHS=1
finds -DMUTANT_NOT_COUNTED_AGAIN -DMESSAGES=1 -DTHROWS=1
finds -DMUTANT_REQUEUE_KEEPS_INTENT -DCONSUMERS=2 -DTHROWS=1
finds -DMUTANT_STAMP_READ_TWICE -DPRODUCERS=2 -DMESSAGES=1
finds -DMUTANT_ORPHAN_BACK_TO_FULL -DPREFILLED -DPRODUCERS=0 -DCONSUMERS=2 -DRECOVERERS=2
finds -DMUTANT_SATURATED_WITHOUT_LOCK -DPREFILLED -DPRODUCERS=0 -DCONSUMERS=2 -DTHROWS=3
finds -DBATCHES -DCAP=2 -DMUTANT_COUNT_AFTER_CLAIM
finds -DBATCHES -DCAP=2 -DMUTANT_COUNT_IGNORED

# Sleeping and waking.
model=$(dirname "$model")/waiting.pml
holds
finds -DMUTANT_LOOKS_BEFORE_IT_CLAIMS
finds -DMUTANT_LOOKS_BEFORE_IT_ANNOUNCES
finds -DMUTANT_WAKES_BEFORE_IT_CLEARS
finds -DMUTANT_KEEPS_THE_EPOCH

if [ "$failures" -ne 0 ]; then
    echo "$failures failed"
    exit 1
fi

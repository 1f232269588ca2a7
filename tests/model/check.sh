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
optimise=()  # costs more than it gains, where the model is long and the search short

# search OPTIONS...: sets `verdict` to holds, or to what spin has found; to nothing if the search was not complete.
search() {
    rm -f pan* ./*.trail
    verdict=
    figures=
    if ! spin -a "$@" "$model" >spin.log 2>&1 ||
        ! gcc -w "${optimise[@]}" -DSAFETY -DCOLLAPSE -DMEMLIM=2800 -o pan pan.c >gcc.log 2>&1; then
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

# Sleeping and waking: one is woken for one message.
model=$(dirname "$model")/waiting.pml
optimise=(-O2)
holds
holds -DBATCHES=1
holds -DTAKERS=1 -DWATCHERS=1
holds -DTAKERS=1 -DPAIRS=1
holds -DTAKERS=1 -DDEATHS=2
holds -DDEATHS=1 -DLATE=1
holds -DTAKERS=1 -DWATCHERS=1 -DDEATHS=1 -DLATE=1
# A publication that is not ordered before the look at the word costs an interval, and no more.
holds -DSTORE_BUFFER -DTAKERS=1 -DPRODUCERS=3 -DLATE=1
# Harmless, because those that have relied on the marks are woken.
holds -DMUTANT_CLEARS_BLINDLY
# Harmless, because a consumer that takes a message wakes the next one, and because a waker looks for watchers again.
holds -DBATCHES=1 -DMUTANT_BATCH_WAKES_ONE
holds -DTAKERS=1 -DWATCHERS=1 -DMUTANT_WATCHES_WITHOUT_ITS_MARK
holds -DTAKERS=1 -DPAIRS=1 -DMUTANT_DECIDES_ON_AN_OLD_VALUE
finds -DMUTANT_LOOKS_BEFORE_IT_CLAIMS
finds -DMUTANT_LOOKS_BEFORE_IT_ANNOUNCES
finds -DMUTANT_FORGETS_THOSE_THAT_JOIN
finds -DMUTANT_WAKES_BEFORE_IT_CHANGES
finds -DMUTANT_CLEARS_FIRST -DTAKERS=1 -DWATCHERS=1 -DDEATHS=1 -DLATE=1
finds -DMUTANT_LEAVES_WITH_A_WAKE
finds -DMUTANT_TAKES_WITHOUT_PASSING_ON
finds -DMUTANT_USES_IT_FIRST
finds -DMUTANT_OVERLOOKS_TOMBSTONES -DTOMBSTONES -DPRODUCERS=3
finds -DMUTANT_WATCHES_WITHOUT_ITS_MARK -DTAKERS=1 -DPAIRS=1
finds -DMUTANT_LOOKS_FOR_WATCHERS_ONCE -DTAKERS=1 -DPAIRS=1

# The same on a queue that is being closed.
model=$(dirname "$model")/closing.pml
holds -DPOPPERS=0
holds -DPOPPERS=0 -DHANDED_BACK=1
holds -DPOPPERS=0 -DDEATHS=1
holds -DCLOSED -DHANDED_BACK=1
holds -DCLOSED -DPOPPERS=0 -DCONSUMERS=3
finds -DMUTANT_CLOSES_SILENTLY
finds -DCLOSED -DMUTANT_DECIDES_ONCE
finds -DCLOSED -DMUTANT_LEAVES_SILENTLY
finds -DCLOSED -DMUTANT_PASSES_ON_MESSAGES_ONLY
finds -DCLOSED -DMUTANT_FORGETS_ITS_WORD
finds -DCLOSED -DMUTANT_HANDS_BACK_ON_ONE_WORD -DHANDED_BACK=1

# Who looks for the dead, and when.
model=$(dirname "$model")/keeping.pml
holds
holds -DDEATHS=1
holds -DDEATHS=1 -DDEPUTIES=0
finds -DMUTANT_LEAVES_NO_VACANCY
finds -DMUTANT_DEPUTIES_STAY_COUNTED -DDEATHS=1

if [ "$failures" -ne 0 ]; then
    echo "$failures failed"
    exit 1
fi

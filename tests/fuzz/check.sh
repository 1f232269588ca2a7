#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/fuzz/check.sh [CASES]
#
# Opens and uses a queue whose bytes are changed at random, and looks at it with an inspector, in so many cases each
# (100000): no crash, no hang, no report of a sanitizer. Each of eight processes has a seed of its own, always the same;
# each spends much of its time waiting.
set -eu

cases=${1:-100000}
source=$(cd "$(dirname "$0")" && pwd)
directory=$(mktemp -d)
workers=()
# Their queues have their pids in the names; one that was ended by a signal leaves its own.
trap 'rm -rf "$directory"; rm -f "${workers[@]/#//dev/shm/promisqs_fuzz_}"' EXIT

for fuzzer in segment inspector; do
    "${CXX:-clang++-16}" -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -I "$source/../../include" "$source/${fuzzer}_fuzz.cpp" -o "$directory/$fuzzer"
done
cd "$directory"
# What a stack that is never used again costs is half of the time.
export ASAN_OPTIONS=detect_stack_use_after_return=0
failed=0
for fuzzer in segment inspector; do
    first=${#workers[@]}
    for seed in 1 2 3 4 5 6 7 8; do
        "./$fuzzer" -seed="$seed" -runs="$((cases / 8))" -max_len=300 -len_control=0 -timeout=60 \
            >"$((first + seed)).log" 2>&1 &
        workers+=("$!")
    done
    for ((i = first; i < first + 8; ++i)); do
        wait "${workers[$i]}" || { failed=1 && tail -n 60 "$((i + 1)).log"; }
        grep '^Done' "$((i + 1)).log" || true
    done
done
exit "$failed"

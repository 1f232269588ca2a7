#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench/check.sh
#
# Runs all benchmarks once and shortly. All that promisqs is compared with must be there. What fails of it is shown, and only what
# fails of promisqs counts.
set -eu

cd "$(dirname "$0")/.."
results=build/quick-results
tools/bench --quick "$results"
cat "$results/results.md"
if grep 'not installed' "$results/results.md"; then exit 1; fi

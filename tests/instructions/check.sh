#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tests/instructions/check.sh
#
# Counts the instructions of an uncontended push and try_pop (or pop, where it says optional; large is 1 KiB, by pop) under callgrind, which
# repeat exactly, and fails where they are more than what is recorded here. What makes the path longer is to be noticed, and either taken back or written down. The figures are those of g++
# 12 -O2 on x86-64; other compilers are given a quarter more.
set -eu

cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cxx=${CXX:-c++}
"$cxx" -std=c++20 -O2 -I include tests/instructions/pairs.cpp -o "$folder/pairs"

exact=no
if [ "$(uname -m)" = x86_64 ] && "$cxx" --version | head -n 1 | grep -q '^c++ .* 12\.\|^g++.* 12\.'; then exact=yes; fi

# instructions WHAT COUNT: of the whole program
instructions() {
    valgrind --tool=callgrind --callgrind-out-file="$folder/out" "$folder/pairs" "$1" "$2" >/dev/null 2>"$folder/log" || {
        cat "$folder/log" >&2
        exit 1
    }
    sed -n 's/^summary: //p; s/^totals: //p' "$folder/out" | tail -n 1
}

status=0
check() {
    what=$1 most=$2
    [ $exact = yes ] || most=$((most + most / 4))
    few=$(instructions "$what" 20000)
    many=$(instructions "$what" 40000)
    each=$(((many - few + 10000) / 20000))
    echo "push and pop, $what: $each instructions, at most $most"
    [ "$each" -le "$most" ] || status=1
}

check 8 107
check 64 108
check single 108
check optional 113
check large 374
exit $status

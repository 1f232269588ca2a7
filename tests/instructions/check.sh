#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tests/instructions/check.sh
#
# Counts the instructions of an uncontended push and try_pop, and of a push and pop, under callgrind, which repeat exactly, and fails where
# they are more than what is recorded here. What makes the path longer is to be noticed, and either taken back or written down. The figures
# are those of g++ 12 -O2 on x86-64; other compilers are given a quarter more.
set -eu

cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cxx=${CXX:-c++}
"$cxx" -std=c++20 -O2 -I include tests/instructions/pairs.cpp -o "$folder/try_pop"
"$cxx" -std=c++20 -O2 -I include -D POP_BY_OPTIONAL tests/instructions/pairs.cpp -o "$folder/pop"

exact=no
if [ "$(uname -m)" = x86_64 ] && "$cxx" --version | head -n 1 | grep -q '^c++ .* 12\.\|^g++.* 12\.'; then exact=yes; fi

# instructions BY WHAT COUNT: of the whole program
instructions() {
    valgrind --tool=callgrind --callgrind-out-file="$folder/out" "$folder/$1" "$2" "$3" >/dev/null 2>"$folder/log" || {
        cat "$folder/log" >&2
        exit 1
    }
    sed -n 's/^summary: //p; s/^totals: //p' "$folder/out" | tail -n 1
}

status=0
check() {
    by=$1 what=$2 most=$3
    [ $exact = yes ] || most=$((most + most / 4))
    few=$(instructions "$by" "$what" 20000)
    many=$(instructions "$by" "$what" 40000)
    each=$(((many - few + 10000) / 20000))
    echo "push and $by, $what: $each instructions, at most $most"
    [ "$each" -le "$most" ] || status=1
}

check try_pop 8 86
check try_pop large 104
check try_pop single 88
check pop 8 94
check pop large 372
exit $status

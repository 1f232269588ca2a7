#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/releases/check.sh boost|pinned
#
# Builds with releases of the dependencies other than the installed ones, and runs what they matter for. Debian only; elsewhere it
# ends with 77, for skipped.
#
# boost    Boost 1.81, the first of Debian's with Boost.Describe (1.77). It can't be installed beside Debian's default.
# pinned   The pinned releases, fetched and built: Catch2 3, not 2. Debian has the very archives that are pinned. Not optimised.
set -euo pipefail

cd "$(dirname "$0")/../.."
readonly scratch=$PWD/build/releases
readonly debian_sources=/etc/apt/sources.list.d/debian.sources
readonly skip=77

if ! command -v apt-get >/dev/null || [ ! -e "$debian_sources" ]; then
    echo "skipped: this is not Debian"
    exit "$skip"
fi

# Downloads packages of this Debian, and sources of Debian 13, from where the system's apt has its own; with a state apart, so that
# the system's stays as it is.
debian() {
    local apt=$scratch/apt archive
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
    archive=$(awk 'BEGIN { RS = "" } NR == 1' "$debian_sources")
    { echo "$archive" && echo && echo "$archive" | sed 's/^Types:.*/Types: deb-src/; s/^Suites:.*/Suites: trixie/'; } \
        >"$apt/debian.sources"
    apt-get -q -o Dir::Etc::SourceList="$apt/debian.sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::Cache="$apt/cache" \
        -o Dir::State="$apt/state" -o Dir::State::status=/dev/null -o APT::Sandbox::User= "$@"
}

boost() {
    local folder=$scratch/boost-1.81 build=$scratch/build-boost-1.81
    mkdir -p "$folder"
    debian update
    (cd "$folder" && debian download libboost1.81-dev)
    dpkg-deb -x "$folder"/libboost1.81-dev_*.deb "$folder"
    cmake --preset unoptimised -B "$build" -D PROMISQS_TEST_LABELS='^$' \
        -D Boost_DIR="$(echo "$folder"/usr/lib/*/cmake/Boost-1.81.0)"
    cmake --build "$build" --target promisqs_schema_test promisqs_queue_test
    ctest --test-dir "$build" --output-on-failure --no-tests=error -R '^(schema|queue)/'
}

pinned() {
    local sources=$scratch/sources build=$scratch/build-pinned archive
    mkdir -p "$sources"
    debian update
    (cd "$sources" && debian source --download-only catch2 benchmark)
    for archive in "$sources"/*.orig.tar.gz; do
        grep -q "$(sha256sum "$archive" | cut -d' ' -f1)" cmake/dependencies.cmake || {
            echo "not what is pinned: $archive"
            return 1
        }
        tar -xf "$archive" -C "$sources"
    done
    cmake --preset unoptimised -B "$build" -D PROMISQS_TEST_LABELS='^(threads|processes)?$' \
        -D PROMISQS_BUILD_BENCH=ON -D PROMISQS_SMOKE_ONLY=ON -D CMAKE_DISABLE_FIND_PACKAGE_Boost=ON \
        -D CMAKE_DISABLE_FIND_PACKAGE_Catch2=ON -D CMAKE_DISABLE_FIND_PACKAGE_benchmark=ON \
        -D FETCHCONTENT_SOURCE_DIR_CATCH2="$(echo "$sources"/Catch2-*)" \
        -D FETCHCONTENT_SOURCE_DIR_BENCHMARK="$(echo "$sources"/benchmark-*/)" \
        -D FETCHCONTENT_SOURCE_DIR_BOOST="$PWD/tests/consumers/boost_stand_in" -D stand_in_include_dirs=/usr/include
    cmake --build "$build" --target tests/all promisqs_bench promisqs_recovery_bench
    ctest --test-dir "$build" --parallel 2 --output-on-failure --no-tests=error -E '^bench: promisqs_(compare|numbers)'
}

case ${1:-} in
boost | pinned) "$1" ;;
*)
    echo "usage: tests/releases/check.sh boost|pinned" >&2
    exit 2
    ;;
esac

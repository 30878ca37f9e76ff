#!/usr/bin/env bash
# Configure where needed, then build: tools/build.sh PRESET [TARGET…]
# PRESET is one of CMakePresets.json; without a target everything users get is
# built, with --configure nothing is.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
case $preset in
  release) folder=build ;;
  *) folder=build/$preset ;;
esac

case $preset in san | tsan) "$0" release bridge_build ;; esac # they take the bridge from there

if [ ! -f "$folder/build.ninja" ]; then
  cmake --preset "$preset" > /tmp/igloo-configure.$$ 2>&1 || {
    cat /tmp/igloo-configure.$$ >&2
    rm -f /tmp/igloo-configure.$$ "$folder/CMakeCache.txt"
    exit 1
  }
  rm -f /tmp/igloo-configure.$$
fi
[ "${1:-}" = --configure ] && exit 0
exec cmake --build "$folder" ${1:+--target "$@"}

#!/usr/bin/env bash
# bridge/include/igloo_bridge.h is what cbindgen makes of bridge/; with --write
# it is made anew.
set -euo pipefail
cd "$(dirname "$0")/.."
header=bridge/include/igloo_bridge.h
folder=$(tools/find-rust.sh)
made=$(mktemp)
trap 'rm -f "$made"' EXIT
PATH=$folder:$PATH cbindgen --quiet --config bridge/cbindgen.toml --lockfile bridge/Cargo.lock \
  --output "$made" bridge
if [ "${1:-}" = --write ]; then
  cp "$made" "$header"
elif ! diff -u --label "$header" --label "cbindgen bridge" "$header" "$made"; then
  echo "$header is not what cbindgen makes: tools/check-bridge-header.sh --write"
  exit 1
fi

#!/usr/bin/env bash
# Build bridge/ and put its static library where the build wants it: a hard link,
# because the file is half a gigabyte; cargo replaces its own, never changes it.
#   tools/build-bridge.sh build/libigloo_bridge.a
# The lock keeps another checkout's cargo out between the build and the link.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=$("$root/tools/cargo.sh" --target-dir)
made=$target/release/libigloo_bridge.a
mkdir -p "$target"

exec 9> "$target/igloo-build.lock"
if ! flock -n 9; then
  echo "build-bridge: another checkout builds its bridge; waiting" >&2
  flock 9
fi
"$root/tools/cargo.sh" build --release --locked --manifest-path "$root/bridge/Cargo.toml" 9>&-
ln -f "$made" "$1" 2>/dev/null || cp "$made" "$1"
touch "$1"

# Each version leaves half a gigabyte behind; the newest is enough.
ls -t "$target"/release/deps/libigloo_bridge-*.a 2>/dev/null | tail -n +3 | xargs -r rm -f

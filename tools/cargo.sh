#!/bin/sh
# Run cargo as the build does: the right toolchain, flags and target folder.
#   tools/cargo.sh build --release --locked --manifest-path bridge/Cargo.toml
#   tools/cargo.sh --target-dir       print the target folder and stop
#   tools/cargo.sh --flags            print RUSTFLAGS and stop
#
# The target folder lies in the cache, outside the checkout, and its key is what
# the compiled crates depend on; so another clone with the same Cargo.lock and
# compiler does not compile DataFusion again. A change of RUSTFLAGS set by the
# caller is a change of the key too.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tools/versions.sh"

PATH=$("$root/tools/find-rust.sh"):$PATH || {
  echo "cargo.sh: no Rust of at least 1.94; run tools/setup.sh" >&2
  exit 2
}
export PATH

# AVX2 makes the engine a tenth faster; the program checks its processor.
if [ -z "${RUSTFLAGS+set}" ]; then
  if grep -qw avx2 /proc/cpuinfo; then RUSTFLAGS="-C target-cpu=x86-64-v3"; else RUSTFLAGS=""; fi
fi
export RUSTFLAGS
export RUSTC_WORKSPACE_WRAPPER="$root/tools/rustc.sh"

key=$({ cat "$root/bridge/Cargo.lock"; rustc --version; echo "$RUSTFLAGS"; } |
  sha256sum | cut -c1-16)
export CARGO_TARGET_DIR="$IGLOO_CACHE/cargo-$key${IGLOO_CARGO_VARIANT:-}"

# See bridge/build.rs: what tells the sources of two clones apart.
IGLOO_BRIDGE_SOURCES=$(cd "$root/bridge" &&
  find src build.rs Cargo.toml -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-16)
export IGLOO_BRIDGE_SOURCES

if [ "${1:-}" = --target-dir ]; then
  echo "$CARGO_TARGET_DIR"
elif [ "${1:-}" = --flags ]; then
  echo "$RUSTFLAGS"
else
  exec cargo "$@"
fi

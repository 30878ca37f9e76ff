#!/usr/bin/env bash
# Build the programs of tests/clients/ that hold clients of other languages, into
# build/clients/: arrow-go's, arrow-flight's of Rust, those of npm. What they are made of is
# pinned by their lock files and kept in the cache folder. tools/setup.sh installs the tools.
#   tools/build-clients.sh [BUILD-FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/versions.sh
build=${1:-build}
mkdir -p "$build/clients/node"
out=$(cd "$build/clients" && pwd)

export GOCACHE=$IGLOO_CACHE/go-build GOMODCACHE=$IGLOO_CACHE/go-mod
export GOFLAGS='-mod=readonly -modcacherw -buildvcs=false' GOTOOLCHAIN=local GOWORK=off
go=$(tools/find-go.sh)
(cd tests/clients/go && "$go" build -o "$out/go-clients" .)

tools/cargo.sh build --quiet --release --locked --manifest-path tests/clients/rust/Cargo.toml
cp "$(tools/cargo.sh --target-dir)/release/igloo-test-clients" "$out/rust-clients"

# Node looks for packages beside the program: both lie in the build folder.
cp tests/clients/node/* "$out/node/"
wanted=$(sha256sum < tests/clients/node/package-lock.json)
if [ "$(cat "$out/node/installed" 2>/dev/null)" != "$wanted" ]; then
  (cd "$out/node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
    --cache "$IGLOO_CACHE/npm" >&2)
  echo "$wanted" > "$out/node/installed"
fi

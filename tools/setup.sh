#!/usr/bin/env bash
# Install what building and testing Igloo needs and this machine lacks:
# Debian packages (as root or with sudo), a Rust that is new enough, Python
# tools in build/venv, third-party sources in the cache folder. Does nothing,
# quickly, where all is there. It says what it does before it does it.
#   tools/setup.sh [DEBIAN-PACKAGE…]     with these too
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/versions.sh

packages=(
  build-essential cmake ninja-build lld pkg-config git ca-certificates
  python3 python3-venv cbindgen clang clang-tidy clang-format libclang-rt-dev
  libcmocka-dev libsqlite3-dev libedit-dev libxxhash-dev liblz4-dev libzstd-dev
  libnghttp2-dev libssl-dev libsodium-dev libmicrohttpd-dev libpq-dev postgresql procps
  "$@"
)

say() { echo "setup: $*" >&2; }

# Install packages with what rights there are.
install_packages() {
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      say "these Debian packages are missing, and there is neither root nor sudo: $*"
      exit 2
    }
    as_root=(sudo)
  fi
  say "installing Debian packages: $*"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "$@" >&2
  # The package makes and starts a server; the tests start their own.
  if [[ " $* " == *" postgresql "* ]]; then
    local version
    version=$(pg_lsclusters -h | awk '$2 == "main" { print $1; exit }')
    [ -z "$version" ] || "${as_root[@]}" pg_dropcluster --stop "$version" main >&2
  fi
}

missing_packages() {
  local installed name
  installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "${packages[@]}" 2>/dev/null || true)"
  for name in "${packages[@]}"; do
    [[ "$installed" == *" installed:$name "* ]] || echo "$name"
  done
}

command -v dpkg-query >/dev/null || {
  say "this is not Debian; install the like of: ${packages[*]}, and Rust 1.94"
  exit 2
}
mapfile -t missing < <(missing_packages)
tools/find-rust.sh >/dev/null || missing+=(rustc-web cargo-web rustfmt-web)
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
tools/find-rust.sh >/dev/null || {
  say "no Rust of at least 1.94 was found, not even after installing rustc-web"
  exit 2
}
rust=$(tools/find-rust.sh)
if ! "$rust/cargo-fmt" --version >/dev/null 2>&1; then
  if [ -x "$rust/rustup" ]; then
    say "adding rustfmt to the Rust of rustup"
    "$rust/rustup" component add rustfmt >&2
  else
    install_packages rustfmt-web
  fi
fi

# Python tools: pinned and checked by hash; rebuilt when the list changes.
wanted=$(sha256sum < tools/requirements.txt)
if [ "$(cat build/venv/igloo-requirements 2>/dev/null)" != "$wanted" ]; then
  say "installing Python tools into build/venv (a minute; downloads 250 MB the first time)"
  rm -rf build/venv
  mkdir -p build
  python3 -m venv build/venv
  build/venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --require-hashes -r tools/requirements.txt >&2
  echo "$wanted" > build/venv/igloo-requirements
fi

# Third-party C sources. Renamed into place last: half an archive is never seen.
# fetch_source PROJECT VERSION SHA256 FOLDER-IN-ARCHIVE
fetch_source() {
  local project=$1 version=$2 sha256=$3 inside=$4 archive unpacked
  [ ! -d "$IGLOO_CACHE/$project-$version" ] || return 0
  say "fetching $project $version into $IGLOO_CACHE"
  mkdir -p "$IGLOO_CACHE"
  archive=$(build/venv/bin/python tools/fetch.py "$project" "$version" "$sha256" \
    "$IGLOO_CACHE/downloads")
  unpacked=$(mktemp -d "$IGLOO_CACHE/unpack-XXXXXX")
  tar -xzf "$archive" -C "$unpacked" --no-same-owner
  mv -T "$unpacked/$inside" "$IGLOO_CACHE/$project-$version" 2>/dev/null || true # another was first
  rm -rf "$unpacked"
}
fetch_source nanoarrow "$NANOARROW_VERSION" "$NANOARROW_SHA256" "nanoarrow-$NANOARROW_VERSION"
# Of this one only adbc.h is used: the loader is ours.
fetch_source adbc-driver-manager "$ADBC_VERSION" "$ADBC_SHA256" "adbc_driver_manager-$ADBC_VERSION"

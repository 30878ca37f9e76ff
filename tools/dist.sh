#!/usr/bin/env bash
# Make dist/igloo-VERSION-linux-ARCH.tar.gz: the program and the library with
# link-time optimisation, stripped, with headers and licence. The bridge is
# compiled anew for it, in a cache folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh dist
version=$(sed -n 's/^#define IGLOO_VERSION "\(.*\)"/\1/p' include/igloo/igloo.h)
name=igloo-$version-linux-$(uname -m)
rm -rf "dist/$name"
cmake --install build/dist --prefix "dist/$name" --strip > /dev/null
tar -C dist --sort=name --owner=0 --group=0 --numeric-owner -czf "dist/$name.tar.gz" "$name"
rm -rf "dist/$name"
ls -lh "dist/$name.tar.gz"

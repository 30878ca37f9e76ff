#!/bin/sh
# Print the folder of the first cargo and rustc of at least 1.94 (what the
# engine needs); exit 1 if there is none. PATH first, then where rustup and
# Debian put them, because a shell without a profile knows neither.
set -eu
needed=94

for cargo in $(command -v cargo || true) "$HOME/.cargo/bin/cargo" /usr/bin/cargo; do
  folder=$(dirname "$cargo")
  [ -x "$folder/cargo" ] && [ -x "$folder/rustc" ] || continue
  minor=$("$folder/rustc" --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
  if [ -n "$minor" ] && [ "$minor" -ge "$needed" ]; then
    echo "$folder"
    exit 0
  fi
done
exit 1

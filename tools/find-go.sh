#!/usr/bin/env bash
# Print the path of a go that can build tests/clients/go: the one on the PATH if it is new
# enough; else one of Go's own, fetched as a module by the older go (Debian 12 has 1.19) and
# checked by hash. Fails where there is no go at all.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/versions.sh

command -v go >/dev/null || {
  echo "find-go.sh: there is no go; run tools/setup.sh" >&2
  exit 2
}
wanted=$(sed -n 's/^go //p' tests/clients/go/go.mod)
found=$(GOTOOLCHAIN=local go version | sed -n 's/^go version go\([0-9.]*\).*/\1/p')
if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -1)" = "$wanted" ]; then
  command -v go
  exit
fi

folder=$IGLOO_CACHE/go-$GO_VERSION
if [ ! -x "$folder/bin/go" ]; then
  echo "find-go.sh: fetching Go $GO_VERSION into $IGLOO_CACHE" >&2
  module=golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-amd64
  answer=$(cd / && GOFLAGS=-modcacherw GO111MODULE=on GOTOOLCHAIN=local \
    GOMODCACHE="$IGLOO_CACHE/go-mod" go mod download -json "$module")
  field() { sed -n "s/^[[:space:]]*\"$1\": \"\(.*\)\",\{0,1\}$/\1/p" <<< "$answer"; }
  [ "$(field Sum)" = "$GO_SUM" ] || {
    echo "find-go.sh: $module has the hash $(field Sum), expected $GO_SUM" >&2
    exit 2
  }
  # A module's files are not executable: only go itself makes those of a toolchain so.
  made=$(mktemp -d "$IGLOO_CACHE/unpack-XXXXXX")
  cp -r "$(field Dir)/." "$made/"
  chmod -R u+w "$made"
  chmod +x "$made"/bin/* "$made"/pkg/tool/*/*
  mv -T "$made" "$folder" 2>/dev/null || rm -rf "$made" # another build was first
fi
echo "$folder/bin/go"

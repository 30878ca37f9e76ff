#!/usr/bin/env bash
# Build the programs of tests/clients/ that hold clients of other languages, into
# build/clients/: arrow-go's, arrow-flight's of Rust, those of npm, the JDBC driver; and the
# h2spec of tests/door/. What they are made of is pinned by lock files or by hash and kept in
# the cache folder. Installs Go, Node, Java and sslscan where they are missing.
#   tools/build-clients.sh [BUILD-FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/versions.sh
build=${1:-build}

missing=()
command -v go >/dev/null || missing+=(golang-go)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v javac >/dev/null || missing+=(default-jdk-headless)
command -v mvn >/dev/null || missing+=(maven)
command -v sslscan >/dev/null || missing+=(sslscan)
[ ${#missing[@]} -eq 0 ] || tools/setup.sh "${missing[@]}"

mkdir -p "$build/clients/node"
out=$(cd "$build/clients" && pwd)

export GOCACHE=$IGLOO_CACHE/go-build GOMODCACHE=$IGLOO_CACHE/go-mod
export GOFLAGS='-mod=readonly -modcacherw -buildvcs=false' GOTOOLCHAIN=local GOWORK=off
go=$(tools/find-go.sh)
# The programs of docs/connect.md are built too; the address comes from outside.
snippet() { sed -n '/^```'"$1"'$/,/^```$/{/^```/!p}' docs/connect.md; }
put() { mkdir -p "$(dirname "$1")" && cat > "$1.new" && { cmp -s "$1.new" "$1" || cp "$1.new" "$1"; }; }

mkdir -p "$out/go" "$out/rust/src"
cp -u tests/clients/go/* "$out/go/"
snippet go | sed 's/"localhost:50051"/os.Getenv("ADDRESS")/' | put "$out/go/connect/main.go"
(cd "$out/go" && "$go" build -o "$out/go-clients" . && "$go" build -o "$out/go-connect" ./connect)

# h2spec, of tests/door/.
(cd tests/door/h2spec && "$go" build -o "$out/h2spec" .)

cp -u tests/clients/rust/Cargo.* "$out/rust/"
cp -u tests/clients/rust/src/main.rs "$out/rust/src/"
snippet rust | sed 's|from_static("https://localhost:50051")|from_shared(std::env::var("ADDRESS")?)?|' |
  put "$out/rust/src/bin/connect.rs"
tools/cargo.sh build --quiet --release --locked --manifest-path "$out/rust/Cargo.toml"
made=$(tools/cargo.sh --target-dir)/release
cp --remove-destination "$made/igloo-test-clients" "$out/rust-clients"
cp "$made/connect" "$out/rust-connect"

# Node looks for packages beside the program: both lie in the build folder.
cp tests/clients/node/* "$out/node/"
wanted=$(sha256sum < tests/clients/node/package-lock.json)
if [ "$(cat "$out/node/installed" 2>/dev/null)" != "$wanted" ]; then
  (cd "$out/node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
    --cache "$IGLOO_CACHE/npm" >&2)
  echo "$wanted" > "$out/node/installed"
fi

# Maven only fetches: the hash of the driver, which holds all it needs, is ours.
name=flight-sql-jdbc-driver-$JDBC_DRIVER_VERSION.jar
driver=$IGLOO_CACHE/downloads/$name
if [ ! -f "$driver" ]; then
  echo "build-clients.sh: fetching $name into $IGLOO_CACHE" >&2
  mkdir -p "$IGLOO_CACHE/downloads"
  fetched=$(mktemp -d "$IGLOO_CACHE/unpack-XXXXXX")
  mvn --batch-mode --quiet "-Dmaven.repo.local=$IGLOO_CACHE/maven" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
    "-Dartifact=org.apache.arrow:flight-sql-jdbc-driver:$JDBC_DRIVER_VERSION" \
    "-DoutputDirectory=$fetched" >&2
  echo "$JDBC_DRIVER_SHA256  $fetched/$name" | sha256sum --check --quiet
  mv "$fetched/$name" "$driver"
  rmdir "$fetched"
fi
mkdir -p "$out/jdbc"
ln -sf "$driver" "$out/jdbc/driver.jar"
if [ tests/clients/jdbc/Client.java -nt "$out/jdbc/Client.class" ]; then
  javac -Xlint:all -Werror -d "$out/jdbc" tests/clients/jdbc/Client.java
fi

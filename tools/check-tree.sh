#!/usr/bin/env bash
# Nothing in the tree names a package registry's host or a folder of one machine:
# clients know their registry by their own configuration. Prints each hit.
set -euo pipefail
cd "$(dirname "$0")/.."
hosts='pypi\.org|pythonhosted\.org|static\.crates\.io|index\.crates\.io|registry\.npmjs|proxy\.golang|(deb|security)\.debian\.org|conda\.anaconda'
# /home/NAME and /Users/NAME but for names that stand for anyone.
folders='(^|[^[:alnum:]_.%}])/(root/|work/|home/[a-z]|Users/[A-Za-z])'
status=0
found=$(git ls-files -co --exclude-standard -z -- ':!bridge/Cargo.lock' ':!tools/check-tree.sh' |
  xargs -0r grep -InE "$hosts|$folders" -- 2>/dev/null |
  grep -vE '/home/(user|you|me|alice|bob)\b' || true)
if [ -n "$found" ]; then
  echo "$found"
  status=1
fi
# Files that a build makes never belong to the tree.
big=$(git ls-files -z | xargs -0r -I{} find {} -maxdepth 0 -size +1M 2>/dev/null || true)
if [ -n "$big" ]; then
  sed 's/$/: larger than 1 MiB/' <<< "$big"
  status=1
fi
exit $status

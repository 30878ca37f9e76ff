#!/usr/bin/env bash
# Each public header compiles alone, as strict C11 and as C++17, without a word.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
shopt -s nullglob
headers=(include/igloo/*.h)
[ ${#headers[@]} -gt 0 ] || { echo "no public header in include/igloo"; exit 1; }
for header in "${headers[@]}"; do
  name=${header#include/}
  echo "#include <$name>" | gcc -std=c11 -Wpedantic -Wall -Wextra -Wundef -Werror -fsyntax-only \
    -Iinclude -x c - || status=1
  echo "#include <$name>" | g++ -std=c++17 -Wpedantic -Wall -Wextra -Wundef -Werror -fsyntax-only \
    -Iinclude -x c++ - || status=1
done
exit $status

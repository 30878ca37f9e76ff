#!/usr/bin/env bash
# Functions that the conventions forbid, by name and with what to use instead.
# Prints each use and exits 1 if there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0

# ban PATTERN INSTEAD PATH…: comments are cut off first, line numbers stay.
ban() {
  local pattern=$1 instead=$2 file hits
  shift 2
  while IFS= read -r file; do
    [ -f "$file" ] || continue
    hits=$(sed -E 's#//.*##; s#/\*([^*]|\*[^/])*\*/##g; /^ *(\/\*|\* )/s/.*//' "$file" |
      grep -nE "$pattern" || true)
    [ -z "$hits" ] && continue
    sed "s#^#$file:#; s#\$#   <- use $instead#" <<< "$hits"
    status=1
  done < <(git ls-files -co --exclude-standard -- "$@")
}

c_code=('src/*.[ch]' 'include/*.h' 'examples/*.[ch]' 'drivers/*.[ch]')
ban '\b(strcpy|strcat|stpcpy|sprintf|vsprintf|gets)\(' 'ig_buf, or a bounded function' "${c_code[@]}"
ban '\b(strtok|strtok_r)\(' 'struct ig_str' "${c_code[@]}"
ban '\b(ato[ilf]|atoll|strto(l|ll|ul|ull|imax|umax)|sscanf)\(' 'ig_parse_*' 'src/*.[ch]' 'drivers/*.[ch]'
ban '\b(alloca|setjmp|longjmp|system|tmpnam|mktemp)\(' 'something else' "${c_code[@]}"
ban '\b(sleep|usleep)\(' 'ig_cond_wait_until' "${c_code[@]}" 'tests/unit/*.[ch]'
ban '\b(TODO|FIXME|XXX|HACK)\b' 'an issue' "${c_code[@]}" 'bridge/src/*.rs'
ban '\b(todo|unimplemented)!\(' 'an error that names what is missing' 'bridge/src/*.rs'

exit $status

#!/usr/bin/env bash
# Fill a PostgreSQL database with bookings and join them with files:
#   examples/federation/run.sh postgresql://user@host:port/database
# Makes the schema "travel" anew. A password belongs into a secret of Igloo (docs/sources.md);
# here the server trusts who asks, or libpq's own password file knows it.
set -euo pipefail
cd "$(dirname "$0")/../.."
uri=${1:?the URI of a PostgreSQL database}
here=$PWD/examples/federation
igloo=$PWD/build/igloo

psql -qX -v ON_ERROR_STOP=1 -v client_min_messages=error "$uri" -f "$here/setup.sql" 2> /dev/null
tools/sample.sh --prepare
cd build/sample
attach="ATTACH '$uri' AS pg (TYPE postgresql); $(cat ../../examples/sample/attach.sql)"

{ echo "$attach"; cat "$here/question.sql"; } | "$igloo" sql --format box -
echo
echo "The refunds are a table of PostgreSQL now; psql says:"
psql -qXAt "$uri" -c "SELECT count(*) || ' refunds, ' || sum(price) FROM travel.refunds"
echo
echo "What PostgreSQL was asked for the bookings:"
{ echo "$attach"
  echo "EXPLAIN SELECT id, carrier FROM pg.travel.bookings WHERE day >= DATE '2013-07-01' AND price > 300;"
} | "$igloo" sql --format tsv - | grep -E "^  (part 1|pushed|kept)"

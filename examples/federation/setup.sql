-- What lies in PostgreSQL: 200,000 bookings of flights, made by arithmetic.
DROP SCHEMA IF EXISTS travel CASCADE;
CREATE SCHEMA travel;
CREATE TABLE travel.bookings (
  id bigint PRIMARY KEY,
  carrier text NOT NULL,
  flight integer NOT NULL,
  day date NOT NULL,
  price numeric(8, 2) NOT NULL
);
INSERT INTO travel.bookings
SELECT g, (ARRAY['UA', 'B6', 'DL', 'AA', 'EV'])[1 + g % 5], 1 + g * 7919 % 1999,
       DATE '2013-01-01' + (g * 31 % 365)::int, 50 + g * 997 % 45000 / 100.0
FROM generate_series(1::bigint, 200000) AS g;
ANALYZE travel.bookings;

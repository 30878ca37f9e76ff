-- Who flew in July, paid more than 300, and came an hour late? Bookings lie in
-- PostgreSQL, flights in a Parquet file, the airlines' names in an SQLite file.
CREATE OR REPLACE TABLE pg.travel.refunds AS
SELECT b.id, a.name AS airline, b.day, f.arr_delay::int AS minutes_late, b.price
FROM pg.travel.bookings b
JOIN 'flights.parquet' f
  ON f.carrier = b.carrier AND f.flight = b.flight
 AND make_date(f.year::int, f.month::int, f.day::int) = b.day
JOIN fleet.airlines a ON a.carrier = b.carrier
WHERE b.day BETWEEN DATE '2013-07-01' AND DATE '2013-07-31'
  AND b.price > 300 AND f.arr_delay >= 60;

SELECT airline, count(*) AS refunds, sum(price) AS amount, max(minutes_late) AS latest
FROM pg.travel.refunds GROUP BY airline ORDER BY amount DESC;

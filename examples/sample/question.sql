-- Which airlines lose most time to wind and rain, and at which airport?
-- One Parquet file, two CSV files and two tables of SQLite: an hour is rough when it
-- rains or the wind blows at 20 mph or more, and what an airline loses is the delay
-- beyond that of its calm hours at the same airport.
WITH departures AS (
  SELECT f.carrier, o.name AS airport, f.dep_delay, p.seats,
         w.precip > 0 OR w.wind_speed >= 20 AS rough
  FROM 'flights.parquet' f
  JOIN 'weather.csv' w
    ON w.origin = f.origin AND w.year = f.year AND w.month = f.month
   AND w.day = f.day AND w.hour = f.hour
  JOIN fleet.planes p ON p.tailnum = f.tailnum
  JOIN 'airports.csv' o ON o.faa = f.origin
  WHERE f.dep_delay IS NOT NULL
), calm AS (
  SELECT carrier, airport, avg(dep_delay) AS delay
  FROM departures WHERE NOT rough GROUP BY carrier, airport
)
SELECT a.name AS airline, d.airport, count(*) AS flights,
       avg(c.delay)::decimal(5, 1) AS calm_min,
       avg(d.dep_delay)::decimal(5, 1) AS rough_min,
       round(sum(d.dep_delay - c.delay) / 60)::int AS hours_lost,
       round(sum((d.dep_delay - c.delay) * d.seats) / 60)::int AS seat_hours_lost
FROM departures d
JOIN calm c ON c.carrier = d.carrier AND c.airport = d.airport
JOIN fleet.airlines a ON a.carrier = d.carrier
WHERE d.rough
GROUP BY a.name, d.airport
ORDER BY hours_lost DESC
LIMIT 8;

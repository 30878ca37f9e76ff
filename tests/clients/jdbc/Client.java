import java.io.ByteArrayInputStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Calendar;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TimeZone;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * The Flight SQL JDBC driver against a server.
 *
 * <p>java Client HOST PORT CA-FILE|- USER PASSWORD, or … token TOKEN. Prints a line for each
 * check: "ok NAME" or "not ok NAME: what was found". What is expected follows from the
 * statements themselves.
 */
public final class Client {
  private static final long ROWS = 3_000_000;
  private static final int CELL_BYTES = 60 << 20;
  private static final int STREAMS = 100;
  private static final int STREAM_ROWS = 50_000;

  private interface Check {
    void run(Connection connection, String table) throws Exception;
  }

  private static String host;
  private static String port;
  private static final Properties properties = new Properties();

  private static Connection open() throws SQLException {
    return DriverManager.getConnection(
        "jdbc:arrow-flight-sql://" + host + ":" + port + "/", properties);
  }

  // ---- helpers

  private static void same(Object expected, Object found) {
    boolean equal =
        expected instanceof byte[] && found instanceof byte[]
            ? Arrays.equals((byte[]) expected, (byte[]) found)
            : expected == null ? found == null : expected.equals(found);
    if (!equal) throw new AssertionError("expected " + expected + ", found " + found);
  }

  private static void holds(boolean condition, Object found) {
    if (!condition) throw new AssertionError("found " + found);
  }

  private static String fails(Check check, Connection connection) {
    try {
      check.run(connection, null);
    } catch (SQLException error) {
      return String.valueOf(error.getMessage());
    } catch (Exception error) {
      throw new AssertionError("not an SQLException: " + error);
    }
    throw new AssertionError("there was no error");
  }

  private static List<List<Object>> rows(ResultSet results) throws SQLException {
    List<List<Object>> found = new ArrayList<>();
    int columns = results.getMetaData().getColumnCount();
    while (results.next()) {
      List<Object> row = new ArrayList<>();
      for (int i = 1; i <= columns; i++) row.add(results.getObject(i));
      found.add(row);
    }
    return found;
  }

  private static List<List<Object>> query(Connection connection, String text)
      throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet results = statement.executeQuery(text)) {
      return rows(results);
    }
  }

  private static long update(Connection connection, String text) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return statement.executeUpdate(text);
    }
  }

  private static Object one(Connection connection, String text) throws SQLException {
    return query(connection, text).get(0).get(0);
  }

  private static List<String> names(ResultSet results, String column) throws SQLException {
    List<String> found = new ArrayList<>();
    while (results.next()) found.add(results.getString(column));
    return found;
  }

  private static List<Object> list(Object... values) {
    return Arrays.asList(values);
  }

  private static Calendar utc() {
    return Calendar.getInstance(TimeZone.getTimeZone("UTC"));
  }

  // ---- results

  /** Of a plain statement without rows the driver 18.3 lists each column twice. */
  private static void noRows(Connection connection, String table) throws Exception {
    String text = "SELECT 1 AS a, 'x' AS b WHERE false";
    try (Statement statement = connection.createStatement();
        ResultSet results = statement.executeQuery(text)) {
      same(2, results.findColumn("b"));
      holds(!results.next(), "a row");
    }
    try (PreparedStatement statement = connection.prepareStatement(text);
        ResultSet results = statement.executeQuery()) {
      same(2, results.getMetaData().getColumnCount());
      same("b", results.getMetaData().getColumnLabel(2));
      holds(!results.next(), "a row");
    }
  }

  /** The driver takes a statement without columns for an update, whatever it is. */
  private static void noColumns(Connection connection, String table) throws Exception {
    try (Statement statement = connection.createStatement()) {
      holds(!statement.execute("SELECT FROM (VALUES (1), (2)) AS t(v)"), "a result set");
    }
    same(1L, one(connection, "SELECT 1"));
  }

  private static void manyRows(Connection connection, String table) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet results =
            statement.executeQuery(
                "SELECT value AS i, value * 2 AS j FROM generate_series(1, " + ROWS + ")")) {
      long count = 0, sum = 0, doubled = 0;
      for (; results.next(); count++) {
        sum += results.getLong(1);
        doubled += results.getLong("j");
      }
      same(list(ROWS, ROWS * (ROWS + 1) / 2, ROWS * (ROWS + 1)), list(count, sum, doubled));
    }
  }

  private static void largeCell(Connection connection, String table) throws Exception {
    String text = (String) one(connection, "SELECT repeat('x', " + CELL_BYTES + ") AS t");
    same(CELL_BYTES, text.length());
    holds(text.chars().allMatch(c -> c == 'x'), "another character");
  }

  private static Object plain(Object value) throws SQLException {
    if (value instanceof Array) {
      List<Object> found = new ArrayList<>();
      for (Object one : (Object[]) ((Array) value).getArray()) found.add(plain(one));
      return found;
    }
    return value;
  }

  private static void nested(Connection connection, String table) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet results =
            statement.executeQuery(
                "SELECT [1, NULL, 3] AS l, [[1], []] AS ll, {'a': 1, 'b': {'c': 'x'}} AS s,"
                    + " [{'k': 5}] AS ls, map {'one': 1, 'two': NULL} AS m")) {
      holds(results.next(), "no row");
      same(list(1L, null, 3L), plain(results.getArray("l")));
      same(Types.ARRAY, results.getMetaData().getColumnType(2));
      same("[[1],[]]", String.valueOf(results.getObject("ll")).replace(" ", ""));
      same("{\"a\":1,\"b\":{\"c\":\"x\"}}", String.valueOf(results.getObject("s")));
      holds(String.valueOf(results.getObject("ls")).contains("5"), results.getObject("ls"));
      String map = String.valueOf(results.getObject("m"));
      holds(map.contains("one") && map.contains("two"), map);
    }
  }

  private static void nulls(Connection connection, String table) throws Exception {
    List<List<Object>> found =
        query(
            connection,
            "SELECT NULL AS n, CAST(NULL AS integer) AS i, CAST(NULL AS varchar) AS t"
                + " FROM (VALUES (1), (2), (3)) AS x(v)");
    same(list(list(null, null, null), list(null, null, null), list(null, null, null)), found);
  }

  private static void hundredStreams(Connection connection, String table) throws Exception {
    List<Statement> statements = new ArrayList<>();
    List<ResultSet> open = new ArrayList<>();
    try {
      for (int i = 0; i < STREAMS; i++) {
        Statement statement = connection.createStatement();
        statements.add(statement);
        open.add(
            statement.executeQuery(
                "SELECT value + " + i + " AS v FROM generate_series(0, " + (STREAM_ROWS - 1)
                    + ")"));
      }
      for (ResultSet results : open) holds(results.next(), "no row");
      for (int i = 0; i < STREAMS; i++) {
        long sum = open.get(i).getLong(1), count = 1;
        for (; open.get(i).next(); count++) sum += open.get(i).getLong(1);
        same((long) STREAM_ROWS, count);
        same((long) STREAM_ROWS * i + (long) STREAM_ROWS * (STREAM_ROWS - 1) / 2, sum);
      }
    } finally {
      for (Statement statement : statements) statement.close();
    }
  }

  private static void everyType(Connection connection, String table) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet results =
            statement.executeQuery(
                "SELECT CAST(1 AS smallint) AS s, CAST(2 AS integer) AS i, 3 AS b,"
                    + " CAST(1.5 AS real) AS r, CAST(0.1 AS double) AS d,"
                    + " CAST('-123.45' AS decimal(20, 2)) AS n, 'é日本' AS t, true AS o,"
                    + " CAST('ab' AS bytea) AS y, DATE '2024-02-29' AS dt,"
                    + " TIME '12:34:56' AS tm, TIMESTAMP '1969-12-31 23:59:59.5' AS ts,"
                    + " TIMESTAMPTZ '2024-01-01 00:00:00+02' AS tz,"
                    + " INTERVAL '1 day' AS iv")) {
      ResultSetMetaData columns = results.getMetaData();
      int[] kinds = {
        Types.SMALLINT, Types.INTEGER, Types.BIGINT, Types.FLOAT, Types.DOUBLE, Types.DECIMAL,
        Types.VARCHAR, Types.BOOLEAN, Types.VARBINARY, Types.DATE, Types.TIME, Types.TIMESTAMP,
        Types.TIMESTAMP_WITH_TIMEZONE, Types.JAVA_OBJECT
      };
      for (int i = 0; i < kinds.length; i++)
        same(columns.getColumnName(i + 1) + " " + kinds[i],
            columns.getColumnName(i + 1) + " " + columns.getColumnType(i + 1));
      holds(results.next(), "no row");
      same((short) 1, results.getShort(1));
      same(2, results.getInt("i"));
      same(3L, results.getLong(3));
      same(1.5f, results.getFloat(4));
      same(0.1, results.getDouble(5));
      same(new BigDecimal("-123.45"), results.getBigDecimal(6));
      same("é日本", results.getString(7));
      same(true, results.getBoolean(8));
      same("ab".getBytes(StandardCharsets.UTF_8), results.getBytes(9));
      same("2024-02-29", results.getDate(10).toLocalDate().toString());
      same("12:34:56", results.getTime(11).toString());
      same("1969-12-31 23:59:59.5", results.getTimestamp(12).toString());
      same(1704060000000L, results.getTimestamp(13).getTime());
      holds(results.getObject(14) != null, "null");
      holds(!results.next(), "a second row");
    }
  }

  /** What the columns are beside their type, as the server says of each. */
  private static void describedColumns(Connection connection, String table) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet results =
            statement.executeQuery(
                "SELECT CAST(1 AS smallint) AS s, 3 AS b, CAST(1.5 AS decimal(20, 2)) AS n,"
                    + " 'x' AS t, TIMESTAMP '1969-12-31 23:59:59.5' AS ts")) {
      ResultSetMetaData columns = results.getMetaData();
      int[] precisions = {5, 19, 20};
      int[] scales = {0, 0, 2};
      for (int i = 0; i < precisions.length; i++) {
        same(precisions[i], columns.getPrecision(i + 1));
        same(scales[i], columns.getScale(i + 1));
      }
      for (int i = 1; i <= 5; i++) {
        same(i == 4, columns.isCaseSensitive(i));
        same(false, columns.isAutoIncrement(i));
        same(true, columns.isReadOnly(i));
        same(true, columns.isSearchable(i));
        same(null, columns.getTableName(i)); // nobody knows
      }
    }
    typed(connection, table);
    try (ResultSet results = connection.getMetaData().getColumns("igloo", "public", table, "%")) {
      Map<String, String> types = new TreeMap<>();
      while (results.next())
        types.put(results.getString("COLUMN_NAME"), results.getString("TYPE_NAME"));
      same("numeric", types.get("n"));
      same("text", types.get("t"));
      same("timestamp with time zone", types.get("tz"));
    }
  }

  // ---- prepared statements

  private static void preparedQuery(Connection connection, String table) throws Exception {
    try (PreparedStatement statement =
        connection.prepareStatement("SELECT value FROM generate_series(1, 100) WHERE value > ?")) {
      for (long bound : new long[] {98, 100, 97}) {
        statement.setLong(1, bound);
        try (ResultSet results = statement.executeQuery()) {
          same((int) (100 - bound), rows(results).size());
        }
      }
    }
  }

  private static final String[][] COLUMNS = {
    {"s", "smallint"}, {"i", "integer"}, {"b", "bigint"}, {"r", "real"},
    {"d", "double precision"}, {"n", "decimal(20, 2)"}, {"t", "varchar"}, {"o", "boolean"},
    {"y", "bytea"}, {"dt", "date"}, {"tm", "time"}, {"ts", "timestamp"}, {"tz", "timestamptz"},
  };

  private static String typed(Connection connection, String table) throws SQLException {
    List<String> columns = new ArrayList<>();
    for (String[] column : COLUMNS) columns.add(column[0] + " " + column[1]);
    update(connection, "CREATE TABLE " + table + " (" + String.join(", ", columns) + ")");
    return "INSERT INTO " + table + " VALUES (" + "?, ".repeat(COLUMNS.length - 1) + "?)";
  }

  private static void parametersOfEveryType(Connection connection, String table)
      throws Exception {
    String insert = typed(connection, table);
    try (PreparedStatement statement = connection.prepareStatement(insert)) {
      statement.setShort(1, (short) -1);
      statement.setInt(2, 2);
      statement.setLong(3, 1L << 40);
      statement.setFloat(4, 1.5f);
      statement.setDouble(5, 0.1);
      statement.setBigDecimal(6, new BigDecimal("-123.45"));
      statement.setString(7, "é日本");
      statement.setBoolean(8, true);
      statement.setBytes(9, new byte[] {0, -1});
      statement.setDate(10, Date.valueOf("2024-02-29"));
      statement.setTime(11, Time.valueOf("12:34:56"));
      statement.setTimestamp(12, Timestamp.valueOf("2024-05-06 07:08:09.5"));
      statement.setTimestamp(13, new Timestamp(1704060000000L), utc());
      same(1, statement.executeUpdate());
    }
    try (Statement statement = connection.createStatement();
        ResultSet results = statement.executeQuery("SELECT * FROM " + table)) {
      holds(results.next(), "no row");
      same((short) -1, results.getShort(1));
      same(2, results.getInt(2));
      same(1L << 40, results.getLong(3));
      same(1.5f, results.getFloat(4));
      same(0.1, results.getDouble(5));
      same(new BigDecimal("-123.45"), results.getBigDecimal(6));
      same("é日本", results.getString(7));
      same(true, results.getBoolean(8));
      same(new byte[] {0, -1}, results.getBytes(9));
      same("2024-02-29", results.getDate(10).toLocalDate().toString());
      same("12:34:56", results.getTime(11).toString());
      same("2024-05-06 07:08:09.5", results.getTimestamp(12).toString());
      same(1704060000000L, results.getTimestamp(13).getTime());
    }
  }

  private static void nullParameters(Connection connection, String table) throws Exception {
    String insert = typed(connection, table);
    int[] kinds = {
      Types.SMALLINT, Types.INTEGER, Types.BIGINT, Types.REAL, Types.DOUBLE, Types.DECIMAL,
      Types.VARCHAR, Types.BOOLEAN, Types.VARBINARY, Types.DATE, Types.TIME, Types.TIMESTAMP,
      Types.TIMESTAMP
    };
    try (PreparedStatement statement = connection.prepareStatement(insert)) {
      for (int i = 0; i < kinds.length; i++) statement.setNull(i + 1, kinds[i]);
      same(1, statement.executeUpdate());
    }
    try (Statement statement = connection.createStatement();
        ResultSet results = statement.executeQuery("SELECT * FROM " + table)) {
      holds(results.next(), "no row");
      for (int i = 1; i <= kinds.length; i++) {
        // getObject() of the driver does not know timestamps with a zone.
        Object value = i < kinds.length ? results.getObject(i) : results.getTimestamp(i);
        same(null, value);
        holds(results.wasNull(), COLUMNS[i - 1][0]);
      }
    }
  }

  private static void parameterMetadata(Connection connection, String table) throws Exception {
    int[] kinds = {
      Types.SMALLINT, Types.INTEGER, Types.BIGINT, Types.FLOAT, Types.DOUBLE, Types.DECIMAL,
      Types.VARCHAR, Types.BOOLEAN, Types.VARBINARY, Types.DATE, Types.TIME, Types.TIMESTAMP,
      Types.TIMESTAMP_WITH_TIMEZONE
    };
    try (PreparedStatement statement = connection.prepareStatement(typed(connection, table))) {
      ParameterMetaData parameters = statement.getParameterMetaData();
      same(kinds.length, parameters.getParameterCount());
      for (int i = 0; i < kinds.length; i++)
        same(COLUMNS[i][0] + " " + kinds[i],
            COLUMNS[i][0] + " " + parameters.getParameterType(i + 1));
    }
  }

  private static void castParameters(Connection connection, String table) throws Exception {
    try (PreparedStatement statement =
        connection.prepareStatement("SELECT CAST(? AS bigint) + 1 AS a, CAST(? AS varchar) AS b")) {
      statement.setLong(1, 41);
      statement.setString(2, "x");
      try (ResultSet results = statement.executeQuery()) {
        same(list(list(42L, "x")), rows(results));
      }
    }
  }

  private static void wrongParameters(Connection connection, String table) throws Exception {
    try (PreparedStatement statement =
        connection.prepareStatement("SELECT value FROM generate_series(1, 9) WHERE value > ?")) {
      try {
        statement.executeQuery();
        throw new AssertionError("there was no error");
      } catch (SQLException | RuntimeException error) {
        holds(true, error); // the driver's own check, or the server's
      }
      statement.setLong(1, 8);
      try (ResultSet results = statement.executeQuery()) {
        same(1, rows(results).size());
      }
    }
  }

  // ---- updates

  private static void updates(Connection connection, String table) throws Exception {
    same(0L, update(connection, "CREATE TABLE " + table + " (id bigint, t varchar)"));
    same(2L, update(connection, "INSERT INTO " + table + " VALUES (1, 'a'), (2, 'b')"));
    try (PreparedStatement statement =
        connection.prepareStatement("INSERT INTO " + table + " VALUES (?, ?)")) {
      statement.setLong(1, 3);
      statement.setString(2, "c");
      same(1, statement.executeUpdate());
    }
    same(list(list(1L, "a"), list(2L, "b"), list(3L, "c")),
        query(connection, "SELECT id, t FROM " + table + " ORDER BY id"));
    update(connection, "DROP TABLE " + table);
  }

  private static void batches(Connection connection, String table) throws Exception {
    update(connection, "CREATE TABLE " + table + " (id bigint, t varchar)");
    try (PreparedStatement statement =
        connection.prepareStatement("INSERT INTO " + table + " VALUES (?, ?)")) {
      for (int i = 0; i < 1000; i++) {
        statement.setLong(1, i);
        if (i % 10 == 0) statement.setNull(2, Types.VARCHAR);
        else statement.setString(2, "row " + i);
        statement.addBatch();
      }
      statement.executeBatch();
    }
    same(list(1000L, 499500L, 900L),
        query(connection, "SELECT count(*), sum(id), count(t) FROM " + table).get(0));
    try (Statement statement = connection.createStatement()) {
      statement.addBatch("INSERT INTO " + table + " VALUES (-1, 'x')");
      statement.addBatch("INSERT INTO " + table + " VALUES (-2, 'y')");
      try {
        statement.executeBatch();
        same(2L, one(connection, "SELECT count(*) FROM " + table + " WHERE id < 0"));
      } catch (SQLException | RuntimeException error) {
        holds(!(error instanceof BatchUpdateException), error); // batches of texts: not in 18.3
      }
    }
  }

  private static void settings(Connection connection, String table) throws Exception {
    try (Statement statement = connection.createStatement()) {
      statement.execute("SET time_zone = 'Asia/Tokyo'");
    }
    same("Asia/Tokyo", one(connection, "SHOW time_zone"));
    try (Statement statement = connection.createStatement()) {
      statement.execute("RESET time_zone");
    }
  }

  // ---- metadata

  private static void catalogsAndSchemas(Connection connection, String table)
      throws Exception {
    DatabaseMetaData data = connection.getMetaData();
    try (ResultSet results = data.getCatalogs()) {
      holds(names(results, "TABLE_CAT").contains("igloo"), "no catalog igloo");
    }
    try (ResultSet results = data.getSchemas()) {
      List<String> found = names(results, "TABLE_SCHEM");
      holds(found.containsAll(list("public", "information_schema")), found);
    }
    try (ResultSet results = data.getSchemas("igloo", "pub%")) {
      same(list("public"), new ArrayList<Object>(names(results, "TABLE_SCHEM")));
    }
    try (ResultSet results = data.getSchemas("no_such_catalog", null)) {
      holds(!results.next(), "a schema");
    }
  }

  private static void tablesAndTypes(Connection connection, String table) throws Exception {
    update(connection, "CREATE TABLE " + table + " (id bigint)");
    update(connection, "CREATE VIEW " + table + "_v AS SELECT id FROM " + table);
    DatabaseMetaData data = connection.getMetaData();
    try (ResultSet results = data.getTableTypes()) {
      List<String> found = names(results, "TABLE_TYPE");
      holds(found.containsAll(list("TABLE", "VIEW")), found);
    }
    try (ResultSet results = data.getTables("igloo", "public", table + "%", null)) {
      holds(results.next(), "no table");
      same(table, results.getString("TABLE_NAME"));
      same("TABLE", results.getString("TABLE_TYPE"));
      same("public", results.getString("TABLE_SCHEM"));
      same("igloo", results.getString("TABLE_CAT"));
      holds(results.next(), "no view");
      same(table + "_v", results.getString("TABLE_NAME"));
      holds(!results.next(), "a third table");
    }
    try (ResultSet results = data.getTables(null, null, table + "%", new String[] {"VIEW"})) {
      same(list(table + "_v"), new ArrayList<Object>(names(results, "TABLE_NAME")));
    }
    String escaped = table.replace("_", data.getSearchStringEscape() + "_");
    try (ResultSet results = data.getTables(null, null, escaped, null)) {
      same(list(table), new ArrayList<Object>(names(results, "TABLE_NAME")));
    }
  }

  private static void columns(Connection connection, String table) throws Exception {
    typed(connection, table);
    int[] kinds = {
      Types.SMALLINT, Types.INTEGER, Types.BIGINT, Types.FLOAT, Types.DOUBLE, Types.DECIMAL,
      Types.VARCHAR, Types.BOOLEAN, Types.VARBINARY, Types.DATE, Types.TIME, Types.TIMESTAMP,
      Types.TIMESTAMP_WITH_TIMEZONE
    };
    DatabaseMetaData data = connection.getMetaData();
    try (ResultSet results = data.getColumns("igloo", "public", table, null)) {
      for (int i = 0; i < COLUMNS.length; i++) {
        holds(results.next(), i + " columns");
        same(COLUMNS[i][0], results.getString("COLUMN_NAME"));
        same(COLUMNS[i][0] + " " + kinds[i], COLUMNS[i][0] + " " + results.getInt("DATA_TYPE"));
        same(i + 1, results.getInt("ORDINAL_POSITION"));
        same("YES", results.getString("IS_NULLABLE"));
        if (COLUMNS[i][0].equals("n")) {
          same(20, results.getInt("COLUMN_SIZE"));
          same(2, results.getInt("DECIMAL_DIGITS"));
        }
      }
      holds(!results.next(), "more columns");
    }
    try (ResultSet results = data.getColumns(null, null, table, "t%")) {
      same(new TreeSet<Object>(list("t", "tm", "ts", "tz")),
          new TreeSet<Object>(names(results, "COLUMN_NAME")));
    }
  }

  /** Every table there is: one whose schema cannot be read would fail them all. */
  private static void allColumns(Connection connection, String table) throws Exception {
    try (ResultSet results = connection.getMetaData().getColumns(null, null, null, null)) {
      int count = 0;
      while (results.next()) count++;
      holds(count > 50, count);
    }
  }

  private static void keys(Connection connection, String table) throws Exception {
    update(connection, "CREATE TABLE " + table + " (id bigint)");
    DatabaseMetaData data = connection.getMetaData();
    try (ResultSet results = data.getPrimaryKeys("igloo", "public", table)) {
      holds(!results.next(), "a key");
    }
    try (ResultSet results = data.getImportedKeys("igloo", "public", table)) {
      holds(!results.next(), "a key");
    }
    try (ResultSet results = data.getExportedKeys("igloo", "public", table)) {
      holds(!results.next(), "a key");
    }
    try (ResultSet results =
        data.getCrossReference("igloo", "public", table, "igloo", "public", table)) {
      holds(!results.next(), "a key");
    }
  }

  /** The driver 18.3 does not ask the server: there must be an answer, with nothing in it. */
  private static void typeInfo(Connection connection, String table) throws Exception {
    try (ResultSet results = connection.getMetaData().getTypeInfo()) {
      holds(!results.next(), "a row");
    }
  }

  private static void facts(Connection connection, String table) throws Exception {
    DatabaseMetaData data = connection.getMetaData();
    same("Igloo", data.getDatabaseProductName());
    holds(data.getDatabaseProductVersion().matches("\\d+\\.\\d+.*"),
        data.getDatabaseProductVersion());
    same("\"", data.getIdentifierQuoteString());
    same(false, data.supportsTransactions());
    same(Connection.TRANSACTION_NONE, data.getDefaultTransactionIsolation());
    same(false, data.supportsStoredProcedures());
    same(true, data.supportsUnion());
    same(true, data.supportsCorrelatedSubqueries());
    holds(data.getSQLKeywords() != null && !data.getNumericFunctions().isEmpty(), "no functions");
    holds(data.getMaxStatementLength() >= 0, data.getMaxStatementLength());
    same("igloo", one(connection, "SELECT current_catalog"));
  }

  // ---- errors, cancelling

  private static void errors(Connection connection, String table) throws Exception {
    String[][] statements = {
      {"SELEC 1", "42601"}, {"SELECT * FROM no_such_table", "42P01"},
      {"SELECT 1 / (value - 5) FROM generate_series(1, 9)", "22012"},
      {"CREATE TEMPORARY TABLE t (a int)", "0A000"},
    };
    for (String[] one : statements) {
      String message = fails((c, ignored) -> query(c, one[0]), connection);
      holds(message.contains("[" + one[1] + "]"), message);
      same(1L, one(connection, "SELECT 1"));
    }
  }

  private static void cancel(Connection connection, String table) throws Exception {
    try (Statement statement = connection.createStatement()) {
      ResultSet results =
          statement.executeQuery(
              "SELECT a.value FROM generate_series(1, 100000) a, generate_series(1, 1000000) b");
      holds(results.next(), "no row");
      statement.cancel();
      try {
        while (results.next()) {}
        throw new AssertionError("all rows came");
      } catch (SQLException error) {
        holds(true, error);
      }
    }
    same(1L, one(connection, "SELECT 1"));
  }

  /** With a catalog the driver closes the session, twice, the second time without a channel. */
  private static void catalogOfTheUrl(Connection connection, String table) throws Exception {
    Properties more = new Properties();
    more.putAll(properties);
    more.put("catalog", "igloo");
    Connection other =
        DriverManager.getConnection("jdbc:arrow-flight-sql://" + host + ":" + port + "/", more);
    same("igloo", one(other, "SELECT current_catalog"));
    same("Channel shutdown invoked", fails((c, ignored) -> other.close(), connection));
    same("igloo", one(connection, "SELECT current_catalog"));
  }

  private static void wrongPassword(Connection connection, String table) throws Exception {
    Properties other = new Properties();
    other.putAll(properties);
    other.remove("token");
    other.put("user", "anna");
    other.put("password", "wrong");
    String message =
        fails(
            (c, ignored) ->
                DriverManager.getConnection(
                        "jdbc:arrow-flight-sql://" + host + ":" + port + "/", other)
                    .close(),
            connection);
    holds(message.contains("28P01") || message.toLowerCase().contains("unauthenticated"), message);
  }

  private static void transactionsAreStubs(Connection connection, String table)
      throws Exception {
    update(connection, "CREATE TABLE " + table + " AS SELECT 1 AS v");
    connection.commit();
    same(1L, one(connection, "SELECT v FROM " + table));
  }

  public static void main(String[] words) throws Exception {
    host = words[0];
    port = words[1];
    properties.put("useEncryption", String.valueOf(!words[2].equals("-")));
    if (!words[2].equals("-")) properties.put("tlsRootCerts", words[2]);
    if (words[3].equals("token")) {
      properties.put("token", words[4]);
    } else {
      properties.put("user", words[3]);
      properties.put("password", words[4]);
    }
    Map<String, Check> checks = new LinkedHashMap<>();
    checks.put("no_rows", Client::noRows);
    checks.put("no_columns", Client::noColumns);
    checks.put("many_rows", Client::manyRows);
    checks.put("large_cell", Client::largeCell);
    checks.put("nested", Client::nested);
    checks.put("nulls", Client::nulls);
    checks.put("hundred_streams", Client::hundredStreams);
    checks.put("every_type", Client::everyType);
    checks.put("described_columns", Client::describedColumns);
    checks.put("prepared_query", Client::preparedQuery);
    checks.put("parameters_of_every_type", Client::parametersOfEveryType);
    checks.put("null_parameters", Client::nullParameters);
    checks.put("parameter_metadata", Client::parameterMetadata);
    checks.put("cast_parameters", Client::castParameters);
    checks.put("wrong_parameters", Client::wrongParameters);
    checks.put("updates", Client::updates);
    checks.put("batches", Client::batches);
    checks.put("settings", Client::settings);
    checks.put("catalogs_and_schemas", Client::catalogsAndSchemas);
    checks.put("tables_and_types", Client::tablesAndTypes);
    checks.put("columns", Client::columns);
    checks.put("all_columns", Client::allColumns);
    checks.put("keys", Client::keys);
    checks.put("type_info", Client::typeInfo);
    checks.put("facts", Client::facts);
    checks.put("errors", Client::errors);
    checks.put("cancel", Client::cancel);
    checks.put("catalog_of_the_url", Client::catalogOfTheUrl);
    checks.put("wrong_password", Client::wrongPassword);
    checks.put("transactions_are_stubs", Client::transactionsAreStubs);
    // Tables of one run must not meet those of another against the same server.
    String run = "jdbc_" + Long.toString(System.nanoTime(), 36);
    int number = 0;
    try (Connection connection = open()) {
      for (Map.Entry<String, Check> check : checks.entrySet()) {
        try {
          check.getValue().run(connection, run + "_" + number++);
          System.out.println("ok " + check.getKey());
        } catch (Throwable error) {
          String reason = String.valueOf(error).replace('\n', ' ');
          System.out.println("not ok " + check.getKey() + ": " + reason);
          error.printStackTrace();
        }
        System.out.flush();
      }
    }
    System.exit(0);
  }
}

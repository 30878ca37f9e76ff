// A client of others, told what to do: it reads requests from stdin, one JSON object per line,
// does each with a Flight SQL client from npm, and answers with one line of JSON. What it
// answers is judged by pytest.
//
//   node main.mjs firetiger|lancedb HOST PORT CA|- USER PASSWORD   (or: … token TOKEN)
//
// Both clients stand on grpc-js. That of firetiger trusts the authorities of grpc-js, whose
// file GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names; that of lancedb knows neither TLS nor tokens.

import readline from "node:readline";

const [which, host, port, ca, user, secret] = process.argv.slice(2);
if (ca !== "-") process.env.GRPC_DEFAULT_SSL_ROOTS_FILE_PATH = ca;

const { DataType, TimeUnit, util } = await import("apache-arrow");

// connect() gives an object whose batches(sql) are the record batches of a result.
const connectors = {
  async firetiger() {
    const { FlightSQLClient } = await import("@firetiger-oss/flight-sql-client");
    const who = user === "token" ? { token: secret } : { username: user, password: secret };
    const client = new FlightSQLClient({ host, port: Number(port), plaintext: ca === "-", ...who });
    await client.connect();
    return {
      async batches(sql) {
        const table = await client.execute(sql);
        return { schema: table.schema, batches: table.batches };
      },
      tables: (schema, table) => client.getTables(undefined, schema, table),
    };
  },

  async lancedb() {
    if (ca !== "-" || user === "token") throw new Error("neither TLS nor tokens");
    const { Client } = await import("@lancedb/arrow-flight-sql-client");
    const client = await Client.connect({ host: `${host}:${port}`, username: user, password: secret });
    return {
      async batches(sql) {
        const stream = (await client.query(sql)).toArrowStream();
        return { schema: stream.schema, batches: stream };
      },
    };
  },
};

const UNITS = { [TimeUnit.SECOND]: 1n, [TimeUnit.MILLISECOND]: 1000n,
  [TimeUnit.MICROSECOND]: 1000000n, [TimeUnit.NANOSECOND]: 1000000000n };

function decimal(words, scale) {
  const digits = util.bigNumToString(new util.BN(words, true));
  const sign = digits.startsWith("-") ? "-" : "";
  const text = digits.slice(sign.length).padStart(scale + 1, "0");
  return scale ? `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}` : sign + text;
}

// A value of apache-arrow as JSON: times and decimals are their text.
function json(value, type) {
  if (value === null || value === undefined) return null;
  if (DataType.isDate(type)) return new Date(value).toISOString().slice(0, 10);
  if (DataType.isTimestamp(type)) return new Date(value).toISOString().slice(0, -1);
  if (DataType.isTime(type)) {
    const milliseconds = (BigInt(value) * 1000n) / UNITS[type.unit];
    return new Date(Number(milliseconds)).toISOString().slice(11, -1);
  }
  if (DataType.isDecimal(type)) return decimal(value, type.scale);
  if (DataType.isBinary(type)) return Buffer.from(value).toString("hex");
  if (DataType.isList(type)) return [...value].map((one) => json(one, type.children[0].type));
  if (DataType.isStruct(type)) {
    return Object.fromEntries(type.children.map((f) => [f.name, json(value[f.name], f.type)]));
  }
  if (DataType.isMap(type)) {
    const [, item] = type.children[0].type.children;
    return [...value].map(([k, v]) => ({ key: k, value: json(v, item.type) }));
  }
  return typeof value === "bigint" ? Number(value) : value;
}

async function query(client, { SQL }) {
  const { schema, batches } = await client.batches(SQL);
  const rows = [];
  for await (const batch of batches) {
    for (let i = 0; i < batch.numRows; i++) {
      rows.push(batch.schema.fields.map((f, j) => json(batch.getChildAt(j).get(i), f.type)));
    }
  }
  return { columns: schema.fields.map((f) => [f.name, String(f.type)]), rows };
}

// For each column the sum of its numbers, or the bytes of its text and how many are an x.
async function measure(client, SQL, begun) {
  const { schema, batches } = await client.batches(SQL);
  const found = { rows: 0, sums: schema.fields.map(() => [0, 0]) };
  let first = begun;
  for await (const batch of batches) {
    if (first) await first();
    first = undefined;
    found.rows += batch.numRows;
    batch.schema.fields.forEach((field, i) => {
      const column = batch.getChildAt(i);
      for (let row = 0; row < batch.numRows; row++) {
        const value = column.get(row);
        if (DataType.isUtf8(field.type)) {
          found.sums[i][0] += Buffer.byteLength(value);
          for (const byte of Buffer.from(value)) if (byte === 0x78) found.sums[i][1] += 1;
        } else {
          found.sums[i][0] += Number(value);
        }
      }
    });
  }
  return found;
}

// Side by side: each has its first batch before any has its last.
async function streams(client, { Statements }) {
  let waiting = Statements.length;
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  const begun = async () => {
    if (--waiting === 0) open();
    await opened;
  };
  return { streams: await Promise.all(Statements.map((SQL) => measure(client, SQL, begun))) };
}

async function metadata(client, { What, Schema, Table }) {
  if (What !== "tables" || !client.tables) throw new Error(`no metadata ${What}`);
  const rows = await client.tables(Schema, Table);
  return { rows: rows.map((row) => [row.catalog, row.schema, row.tableName, row.tableType]) };
}

const requests = { query, streams, metadata,
  measure: (client, request) => measure(client, request.SQL) };

async function answer(work) {
  try {
    console.log(JSON.stringify(await work()));
    return true;
  } catch (error) {
    // One wraps the status of gRPC, the other throws it.
    const code = Number(error.code ?? error.originalError?.code) || 2;
    console.log(JSON.stringify({ error: { code, message: String(error.message ?? error) } }));
    return false;
  }
}

let client;
const connected = await answer(async () => {
  client = await connectors[which]();
  return { connected: true };
});
if (connected) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    await answer(() => requests[request.Do](client, request));
  }
}
process.exit(0); // without waiting for what the clients keep open

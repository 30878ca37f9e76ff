//! A client of others, told what to do: it reads requests from stdin, one JSON object per line,
//! does each with arrow-flight's Flight SQL client, and answers with one line of JSON. What it
//! answers is judged by pytest.
//!
//! `rust-clients HOST PORT CA|- USER PASSWORD` or `… token TOKEN`

use std::io::{BufRead, Write};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{new_null_array, Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_cast::display::array_value_to_string;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, CommandStatementIngest,
    EndTransaction, SqlInfo, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use arrow_flight::FlightInfo;
use arrow_json::writer::{JsonArray, WriterBuilder};
use arrow_schema::{DataType, Field, Schema};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{json, Value};
use tokio::sync::Barrier;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

type Client = FlightSqlServiceClient<Channel>;
type Result<T> = std::result::Result<T, FlightError>;

const LARGE_MESSAGE: usize = 100 << 20;

/// The channel, which all clients share, and how each says who it is.
struct Connection {
    channel: Channel,
    token: String,
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> FlightError {
    FlightError::ExternalError(Box::new(error))
}

async fn connect(words: &[String]) -> Result<Connection> {
    let [host, port, ca, user, secret] = words else {
        panic!("five words expected: HOST PORT CA|- USER|token SECRET");
    };
    let scheme = if ca == "-" { "http" } else { "https" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}:{port}")).map_err(other)?;
    // Streams that wait for one another must not use up what the connection may send.
    endpoint = endpoint.initial_connection_window_size(256 << 20);
    if ca != "-" {
        let pem = std::fs::read(ca).map_err(other)?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint = endpoint.tls_config(tls).map_err(other)?;
    }
    let channel = endpoint.connect().await.map_err(other)?;
    if user == "token" {
        return Ok(Connection { channel, token: secret.clone() });
    }
    let mut client = Client::new(channel.clone());
    client.handshake(user, secret).await?;
    let token = client.token().cloned().expect("a handshake gives a token");
    Ok(Connection { channel, token })
}

impl Connection {
    fn client(&self, request: &Value) -> Client {
        let mut inner = FlightServiceClient::new(self.channel.clone());
        if request["Large"] == true {
            inner = inner.max_decoding_message_size(LARGE_MESSAGE);
        }
        let mut client = Client::new_from_inner(inner);
        client.set_token(self.token.clone());
        client
    }
}

async fn open(client: &mut Client, info: FlightInfo) -> Result<Vec<FlightRecordBatchStream>> {
    let mut streams = Vec::new();
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.expect("an endpoint has a ticket");
        streams.push(client.do_get(ticket).await?);
    }
    Ok(streams)
}

/// One column as JSON values; a union, which has no JSON, as text.
fn values(column: &ArrayRef) -> Result<Vec<Value>> {
    if matches!(column.data_type(), DataType::Union(..)) {
        let texts = (0..column.len()).map(|i| Ok(json!(array_value_to_string(column, i)?)));
        return texts.collect();
    }
    let batch = RecordBatch::try_from_iter_with_nullable([("v", column.clone(), true)])?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(vec![]);
    writer.write(&batch)?;
    writer.finish()?;
    let rows: Vec<Value> = match column.len() {
        0 => vec![],
        _ => serde_json::from_slice(&writer.into_inner()).map_err(other)?,
    };
    Ok(rows.into_iter().map(|mut row| row["v"].take()).collect())
}

fn columns(schema: &Schema) -> Value {
    let pair = |field: &Arc<Field>| json!([field.name(), field.data_type().to_string()]);
    schema.fields().iter().map(pair).collect()
}

async fn read(client: &mut Client, info: FlightInfo) -> Result<Value> {
    let mut found = json!({"columns": [], "rows": []});
    for mut stream in open(client, info).await? {
        while let Some(batch) = stream.try_next().await? {
            let by_column: Vec<Vec<Value>> =
                batch.columns().iter().map(values).collect::<Result<_>>()?;
            for i in 0..batch.num_rows() {
                let row: Value = by_column.iter().map(|column| column[i].clone()).collect();
                found["rows"].as_array_mut().expect("rows").push(row);
            }
        }
        found["columns"] = columns(stream.schema().expect("a stream begins with its schema"));
    }
    Ok(found)
}

/// A batch of rows of JSON, each value cast from its text.
fn build(schema: &Schema, rows: &Value) -> Result<RecordBatch> {
    let rows = rows.as_array().expect("rows");
    let mut columns = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        let texts: StringArray = rows
            .iter()
            .map(|row| match &row[i] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                value => Some(value.to_string()),
            })
            .collect();
        columns.push(match field.data_type() {
            DataType::Null => new_null_array(&DataType::Null, rows.len()),
            wanted => cast(&texts, wanted)?,
        });
    }
    Ok(RecordBatch::try_new(Arc::new(schema.clone()), columns)?)
}

fn text(request: &Value, key: &str) -> String {
    request[key].as_str().unwrap_or_default().to_owned()
}

async fn query(client: &mut Client, request: &Value) -> Result<Value> {
    if request["Parameters"].is_null() {
        let info = client.execute(text(request, "SQL"), None).await?;
        return read(client, info).await;
    }
    let mut statement = client.prepare(text(request, "SQL"), None).await?;
    if request["Parameters"] != json!([]) {
        let batch = build(statement.parameter_schema()?, &request["Parameters"])?;
        statement.set_parameters(batch)?;
    }
    let info = statement.execute().await?;
    let found = read(client, info).await?;
    statement.close().await?;
    Ok(found)
}

async fn update(client: &mut Client, request: &Value) -> Result<Value> {
    if request["Parameters"].is_null() {
        let count = client.execute_update(text(request, "SQL"), None).await?;
        return Ok(json!({ "count": count }));
    }
    let mut statement = client.prepare(text(request, "SQL"), None).await?;
    if request["Parameters"] != json!([]) {
        let batch = build(statement.parameter_schema()?, &request["Parameters"])?;
        statement.set_parameters(batch)?;
    }
    let count = statement.execute_update().await?;
    statement.close().await?;
    Ok(json!({ "count": count }))
}

/// A result too large to show: for each column the sum of its numbers, or the bytes of its
/// text and how many of them are an x.
struct Measured {
    rows: usize,
    sums: Vec<[i64; 2]>,
}

impl Measured {
    fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows();
        self.sums.resize(batch.num_columns(), [0, 0]);
        for (sum, column) in self.sums.iter_mut().zip(batch.columns()) {
            if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
                sum[0] += numbers.values().iter().sum::<i64>();
            } else if let Some(texts) = column.as_string_opt::<i32>() {
                for text in texts.iter().flatten() {
                    sum[0] += text.len() as i64;
                    sum[1] += text.bytes().filter(|byte| *byte == b'x').count() as i64;
                }
            }
        }
    }

    fn json(&self) -> Value {
        json!({"rows": self.rows, "sums": self.sums})
    }
}

/// Where streams are read side by side, `begun` holds each after its first batch.
async fn measure(mut client: Client, sql: String, begun: Option<Arc<Barrier>>) -> Result<Value> {
    let mut found = Measured { rows: 0, sums: vec![] };
    let mut first = begun;
    let info = client.execute(sql, None).await?;
    for mut stream in open(&mut client, info).await? {
        while let Some(batch) = stream.try_next().await? {
            if let Some(barrier) = first.take() {
                barrier.wait().await;
            }
            found.add(&batch);
        }
    }
    Ok(found.json())
}

async fn streams(connection: &Connection, request: &Value) -> Result<Value> {
    let statements = request["Statements"].as_array().expect("statements");
    let begun = Arc::new(Barrier::new(statements.len()));
    let tasks = statements.iter().map(|sql| {
        let sql = sql.as_str().expect("a statement").to_owned();
        measure(connection.client(request), sql, Some(begun.clone()))
    });
    let found = futures::future::try_join_all(tasks).await?;
    Ok(json!({ "streams": found }))
}

async fn ingest(client: &mut Client, request: &Value) -> Result<Value> {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("t", DataType::Utf8, true),
    ]);
    let batch = build(&schema, &request["Rows"])?;
    use TableExistsOption as Exists;
    use TableNotExistOption as NotExist;
    let (if_not_exist, if_exists) = match request["Mode"].as_str() {
        Some("create") => (NotExist::Create, Exists::Fail),
        Some("append") => (NotExist::Fail, Exists::Append),
        Some("replace") => (NotExist::Create, Exists::Replace),
        _ => (NotExist::Create, Exists::Append),
    };
    let command = CommandStatementIngest {
        table: text(request, "Table"),
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: if_not_exist.into(),
            if_exists: if_exists.into(),
        }),
        ..Default::default()
    };
    let count = client.execute_ingest(command, stream::iter([Ok(batch)]).boxed()).await?;
    Ok(json!({ "count": count }))
}

async fn metadata(client: &mut Client, request: &Value) -> Result<Value> {
    let db_schema = request["Schema"].as_str().map(str::to_owned);
    let table = text(request, "Table");
    let info = match request["What"].as_str().unwrap_or_default() {
        "catalogs" => client.get_catalogs().await?,
        "schemas" => {
            let db_schema_filter_pattern = db_schema;
            client.get_db_schemas(CommandGetDbSchemas { catalog: None, db_schema_filter_pattern })
                .await?
        }
        "tables" => {
            let command = CommandGetTables {
                db_schema_filter_pattern: db_schema,
                table_name_filter_pattern: Some(table),
                ..Default::default()
            };
            client.get_tables(command).await?
        }
        "table_types" => client.get_table_types().await?,
        "primary_keys" => {
            client.get_primary_keys(CommandGetPrimaryKeys { catalog: None, db_schema, table })
                .await?
        }
        "exported_keys" => {
            client.get_exported_keys(CommandGetExportedKeys { catalog: None, db_schema, table })
                .await?
        }
        "imported_keys" => {
            client.get_imported_keys(CommandGetImportedKeys { catalog: None, db_schema, table })
                .await?
        }
        "cross_reference" => {
            let command = CommandGetCrossReference {
                pk_db_schema: db_schema.clone(),
                pk_table: table.clone(),
                fk_db_schema: db_schema,
                fk_table: table,
                ..Default::default()
            };
            client.get_cross_reference(command).await?
        }
        "types" => client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await?,
        "info" => {
            let wanted = vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerReadOnly];
            client.get_sql_info(wanted).await?
        }
        what => panic!("no metadata {what:?}"),
    };
    read(client, info).await
}

async fn transaction(client: &mut Client, request: &Value) -> Result<Value> {
    let id = client.begin_transaction().await?;
    for sql in request["Statements"].as_array().expect("statements") {
        let sql = sql.as_str().expect("a statement").to_owned();
        client.execute_update(sql, Some(id.clone())).await?;
    }
    let end = match request["End"].as_str() {
        Some("rollback") => EndTransaction::Rollback,
        _ => EndTransaction::Commit,
    };
    client.end_transaction(id, end).await?;
    Ok(json!({"ended": request["End"]}))
}

async fn answer(connection: &Connection, request: &Value) -> Result<Value> {
    let client = &mut connection.client(request);
    match request["Do"].as_str().unwrap_or_default() {
        "query" => query(client, request).await,
        "measure" => measure(connection.client(request), text(request, "SQL"), None).await,
        "streams" => streams(connection, request).await,
        "update" => update(client, request).await,
        "ingest" => ingest(client, request).await,
        "metadata" => metadata(client, request).await,
        "transaction" => transaction(client, request).await,
        what => Ok(json!({"broken": format!("this client cannot {what}")})),
    }
}

fn tell(found: Result<Value>) {
    let line = found.unwrap_or_else(|error| {
        let code = match &error {
            FlightError::Tonic(status) => status.code() as i32,
            _ => tonic::Code::Unknown as i32, // the client's own, or its handshake's
        };
        json!({"error": {"code": code, "message": error.to_string()}})
    });
    println!("{line}");
    std::io::stdout().flush().expect("stdout");
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let connection = match connect(&words).await {
        Ok(connection) => connection,
        Err(error) => return tell(Err(error)),
    };
    tell(Ok(json!({"connected": true})));
    for line in std::io::stdin().lock().lines() {
        let request = serde_json::from_str(&line.expect("stdin")).expect("a request");
        tell(answer(&connection, &request).await);
    }
}

package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

const largeMessage = 100 << 20

type flightConn struct {
	*flightsql.Client
	headers metadata.MD // who we are
}

func (f *flightConn) with(ctx context.Context) context.Context {
	return metadata.NewOutgoingContext(ctx, f.headers)
}

// flightClient logs in by a Handshake, or has a token.
func flightClient(w who) (client, error) {
	transport := insecure.NewCredentials()
	if w.tls != nil {
		transport = credentials.NewTLS(w.tls)
	}
	inner, err := flightsql.NewClient(w.address, nil, nil, grpc.WithTransportCredentials(transport))
	if err != nil {
		return nil, err
	}
	f := &flightConn{Client: inner}
	if w.token != "" {
		f.headers = metadata.Pairs("authorization", "Bearer "+w.token)
	} else {
		ctx, err := inner.Client.AuthenticateBasicToken(context.Background(), w.user, w.password)
		if err != nil {
			return nil, err
		}
		f.headers, _ = metadata.FromOutgoingContext(ctx)
	}
	return client{
		"query": f.query, "measure": f.measure, "streams": f.streams, "update": f.update,
		"schema": f.schema, "ingest": f.ingest, "metadata": f.metadata, "poll": f.poll,
		"cancel": f.cancel, "transaction": f.transaction, "options": f.options,
	}, nil
}

// each calls visit with every batch of every endpoint; before the first it calls begun.
func (f *flightConn) each(ctx context.Context, info *flight.FlightInfo, r *request,
	begun func(*arrow.Schema), visit func(arrow.RecordBatch)) error {
	var opts []grpc.CallOption
	if r.Large {
		opts = append(opts, grpc.MaxCallRecvMsgSize(largeMessage))
	}
	for _, endpoint := range info.Endpoint {
		stream, err := f.Client.Client.DoGet(ctx, endpoint.Ticket, opts...)
		if err != nil {
			return err
		}
		reader, err := flight.NewRecordReader(stream)
		if err != nil {
			return err
		}
		defer reader.Release()
		begun(reader.Schema())
		for reader.Next() {
			visit(reader.RecordBatch())
		}
		if err := reader.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (f *flightConn) read(ctx context.Context, info *flight.FlightInfo, r *request) (any, error) {
	found := result{Rows: [][]any{}, Columns: [][]string{}}
	begun := func(schema *arrow.Schema) {
		for _, field := range schema.Fields() {
			found.Columns = append(found.Columns, []string{field.Name, field.Type.String()})
		}
	}
	err := f.each(ctx, info, r, begun, func(batch arrow.RecordBatch) {
		for i := range int(batch.NumRows()) {
			row := []any{}
			for _, column := range batch.Columns() {
				row = append(row, column.GetOneForMarshal(i))
			}
			found.Rows = append(found.Rows, row)
		}
	})
	return found, err
}

func (f *flightConn) prepare(ctx context.Context, r *request) (*flightsql.PreparedStatement, error) {
	statement, err := f.Prepare(ctx, r.SQL)
	if err != nil || len(r.Parameters) == 0 {
		return statement, err
	}
	batch, err := build(statement.ParameterSchema(), r.Parameters)
	if err != nil {
		return nil, err
	}
	defer batch.Release()
	statement.SetParameters(batch)
	return statement, nil
}

// build makes a batch of rows of JSON.
func build(schema *arrow.Schema, rows [][]any) (arrow.RecordBatch, error) {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	for _, row := range rows {
		if len(row) != schema.NumFields() {
			return nil, fmt.Errorf("%d values for %d fields", len(row), schema.NumFields())
		}
		for i, value := range row {
			if value == nil {
				builder.Field(i).AppendNull()
			} else if err := builder.Field(i).AppendValueFromString(fmt.Sprint(value)); err != nil {
				return nil, err
			}
		}
	}
	return builder.NewRecordBatch(), nil
}

func (f *flightConn) query(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	if r.Parameters == nil {
		info, err := f.Execute(ctx, r.SQL)
		if err != nil {
			return nil, err
		}
		return f.read(ctx, info, r)
	}
	statement, err := f.prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	info, err := statement.Execute(ctx)
	if err != nil {
		return nil, err
	}
	found, err := f.read(ctx, info, r)
	if err != nil {
		return nil, err
	}
	return found, statement.Close(ctx)
}

// schema tells the columns without running the statement, by GetSchema and by preparing it.
func (f *flightConn) schema(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	raw, err := f.GetExecuteSchema(ctx, r.SQL)
	if err != nil {
		return nil, err
	}
	schema, err := flight.DeserializeSchema(raw.Schema, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	statement, err := f.Prepare(ctx, r.SQL)
	if err != nil {
		return nil, err
	}
	same := schema.Equal(statement.DatasetSchema())
	columns := [][]string{}
	for _, field := range schema.Fields() {
		columns = append(columns, []string{field.Name, field.Type.String()})
	}
	return map[string]any{"columns": columns, "same": same}, statement.Close(ctx)
}

func (f *flightConn) update(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	if r.Parameters == nil {
		count, err := f.ExecuteUpdate(ctx, r.SQL)
		return map[string]any{"count": count}, err
	}
	statement, err := f.prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	count, err := statement.ExecuteUpdate(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{"count": count}, statement.Close(ctx)
}

func (m *measured) begin(columns int) {
	m.Sums = make([][]int64, columns)
	for i := range m.Sums {
		m.Sums[i] = []int64{0, 0}
	}
}

func (m *measured) add(batch arrow.RecordBatch) {
	m.Rows += batch.NumRows()
	for i, column := range batch.Columns() {
		switch column := column.(type) {
		case *array.Int64:
			for _, value := range column.Int64Values() {
				m.Sums[i][0] += value
			}
		case *array.String:
			for j := range column.Len() {
				m.addText(i, column.Value(j))
			}
		}
	}
}

func (m *measured) addText(column int, text string) {
	m.Sums[column][0] += int64(len(text))
	for j := range len(text) {
		if text[j] == 'x' {
			m.Sums[column][1]++
		}
	}
}

func (f *flightConn) measure(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	info, err := f.Execute(ctx, r.SQL)
	if err != nil {
		return nil, err
	}
	var found measured
	err = f.each(ctx, info, r, func(schema *arrow.Schema) { found.begin(schema.NumFields()) },
		found.add)
	return found, err
}

// streams reads all statements side by side: each has its first batch before any has its last.
func (f *flightConn) streams(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	found := make([]measured, len(r.Statements))
	failed := make([]error, len(r.Statements))
	var begun, done sync.WaitGroup
	begun.Add(len(r.Statements))
	for i, text := range r.Statements {
		done.Add(1)
		go func() {
			defer done.Done()
			first := sync.OnceFunc(begun.Done)
			defer first() // also when it failed
			info, err := f.Execute(ctx, text)
			if err != nil {
				failed[i] = err
				return
			}
			failed[i] = f.each(ctx, info, r,
				func(schema *arrow.Schema) { found[i].begin(schema.NumFields()) },
				func(batch arrow.RecordBatch) {
					first()
					begun.Wait()
					found[i].add(batch)
				})
		}()
	}
	done.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, err
		}
	}
	return map[string]any{"streams": found}, nil
}

func (f *flightConn) ingest(ctx context.Context, r *request) (any, error) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "t", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	batch, err := build(schema, r.Rows)
	if err != nil {
		return nil, err
	}
	defer batch.Release()
	reader, err := array.NewRecordReader(schema, []arrow.RecordBatch{batch})
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	modes := map[string]*flightsql.TableDefinitionOptions{
		"create": {IfNotExist: flightsql.TableDefinitionOptionsTableNotExistOptionCreate,
			IfExists: flightsql.TableDefinitionOptionsTableExistsOptionFail},
		"append": {IfNotExist: flightsql.TableDefinitionOptionsTableNotExistOptionFail,
			IfExists: flightsql.TableDefinitionOptionsTableExistsOptionAppend},
		"replace": {IfNotExist: flightsql.TableDefinitionOptionsTableNotExistOptionCreate,
			IfExists: flightsql.TableDefinitionOptionsTableExistsOptionReplace},
		"create_append": {IfNotExist: flightsql.TableDefinitionOptionsTableNotExistOptionCreate,
			IfExists: flightsql.TableDefinitionOptionsTableExistsOptionAppend},
	}
	count, err := f.ExecuteIngest(f.with(ctx), reader, &flightsql.ExecuteIngestOpts{
		Table: r.Table, TableDefinitionOptions: modes[r.Mode]})
	return map[string]any{"count": count}, err
}

func (f *flightConn) metadata(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	ref := flightsql.TableRef{DBSchema: r.Schema, Table: r.Table}
	var info *flight.FlightInfo
	var err error
	switch r.What {
	case "catalogs":
		info, err = f.GetCatalogs(ctx)
	case "schemas":
		info, err = f.GetDBSchemas(ctx, &flightsql.GetDBSchemasOpts{DbSchemaFilterPattern: r.Schema})
	case "tables":
		info, err = f.GetTables(ctx, &flightsql.GetTablesOpts{
			DbSchemaFilterPattern: r.Schema, TableNameFilterPattern: &r.Table})
	case "table_types":
		info, err = f.GetTableTypes(ctx)
	case "primary_keys":
		info, err = f.GetPrimaryKeys(ctx, ref)
	case "exported_keys":
		info, err = f.GetExportedKeys(ctx, ref)
	case "imported_keys":
		info, err = f.GetImportedKeys(ctx, ref)
	case "cross_reference":
		info, err = f.GetCrossReference(ctx, ref, ref)
	case "types":
		info, err = f.GetXdbcTypeInfo(ctx, nil)
	case "info":
		info, err = f.GetSqlInfo(ctx, []flightsql.SqlInfo{
			flightsql.SqlInfoFlightSqlServerName, flightsql.SqlInfoFlightSqlServerReadOnly})
	default:
		return nil, fmt.Errorf("no metadata %q", r.What)
	}
	if err != nil {
		return nil, err
	}
	return f.read(ctx, info, r)
}

func (f *flightConn) poll(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	var again *flight.FlightDescriptor
	for {
		poll, err := f.ExecutePoll(ctx, r.SQL, again)
		if err != nil {
			return nil, err
		}
		if again = poll.FlightDescriptor; again == nil {
			return f.read(ctx, poll.Info, r)
		}
	}
}

// cancel cancels a statement before it is read, and then tries to read it.
func (f *flightConn) cancel(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	info, err := f.Execute(ctx, r.SQL)
	if err != nil {
		return nil, err
	}
	done, err := f.CancelFlightInfo(ctx, &flight.CancelFlightInfoRequest{Info: info})
	if err != nil {
		return nil, err
	}
	_, err = f.read(ctx, info, r)
	return map[string]any{"status": done.Status.String(), "ended": err != nil}, nil
}

// transaction runs the statements and ends as r.End says.
func (f *flightConn) transaction(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	tx, err := f.BeginTransaction(ctx)
	if err != nil {
		return nil, err
	}
	for _, text := range r.Statements {
		if _, err := tx.ExecuteUpdate(ctx, text); err != nil {
			return nil, err
		}
	}
	if r.End == "rollback" {
		err = tx.Rollback(ctx)
	} else {
		err = tx.Commit(ctx)
	}
	return map[string]any{"ended": r.End}, err
}

// options sets options of the session and tells all.
func (f *flightConn) options(ctx context.Context, r *request) (any, error) {
	ctx = f.with(ctx)
	set := map[string]any{}
	for name, value := range r.Options {
		set[name] = value
	}
	values, err := flight.NewSessionOptionValues(set)
	if err != nil {
		return nil, err
	}
	done, err := f.SetSessionOptions(ctx, &flight.SetSessionOptionsRequest{SessionOptions: values})
	if err != nil {
		return nil, err
	}
	refused := map[string]string{}
	for name, why := range done.Errors {
		refused[name] = why.Value.String()
	}
	all, err := f.GetSessionOptions(ctx, &flight.GetSessionOptionsRequest{})
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for name, value := range all.SessionOptions {
		found[name] = value.GetStringValue()
	}
	return map[string]any{"refused": refused, "options": found}, nil
}

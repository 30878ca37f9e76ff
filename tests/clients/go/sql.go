package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/driver"
)

type sqlConn struct {
	*sql.Conn
	db *sql.DB
}

// sqlClient uses one connection of database/sql, whose driver sends who we are with each call.
func sqlClient(w who) (client, error) {
	config := driver.DriverConfig{Address: w.address, Username: w.user, Password: w.password,
		Token: w.token, TLSEnabled: w.tls != nil, TLSConfig: w.tls, TLSConfigName: "test"}
	db, err := sql.Open("flightsql", config.DSN())
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	s := &sqlConn{conn, db}
	if _, err := s.query(context.Background(), &request{SQL: "SELECT 1"}); err != nil {
		return nil, err // who we are is looked at with the first call
	}
	return client{"query": s.query, "measure": s.measure, "streams": s.streams,
		"update": s.update, "transaction": s.transaction}, nil
}

// arguments gives the values as the types that the driver knows.
func arguments(row []any) []any {
	values := []any{}
	for _, value := range row {
		if number, ok := value.(json.Number); ok { // JSON has one kind of number
			if whole, err := number.Int64(); err == nil {
				value = whole
			} else if value, err = number.Float64(); err != nil {
				value = number.String()
			}
		}
		values = append(values, value)
	}
	return values
}

// each calls visit with the values of every row.
func (s *sqlConn) each(ctx context.Context, text string, values []any,
	begun func([]string), visit func([]any)) error {
	rows, err := s.QueryContext(ctx, text, values...)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	begun(names)
	for rows.Next() {
		found := make([]any, len(names))
		into := make([]any, len(names))
		for i := range found {
			into[i] = &found[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		visit(found)
	}
	return rows.Err()
}

func (s *sqlConn) query(ctx context.Context, r *request) (any, error) {
	found := result{Rows: [][]any{}, Columns: [][]string{}}
	begun := func(names []string) {
		for _, name := range names {
			found.Columns = append(found.Columns, []string{name})
		}
	}
	var values []any
	if len(r.Parameters) > 0 {
		values = arguments(r.Parameters[0])
	}
	err := s.each(ctx, r.SQL, values, begun, func(row []any) { found.Rows = append(found.Rows, row) })
	return found, err
}

func (s *sqlConn) update(ctx context.Context, r *request) (any, error) {
	if len(r.Parameters) == 0 {
		done, err := s.ExecContext(ctx, r.SQL)
		if err != nil {
			return nil, err
		}
		count, err := done.RowsAffected()
		if err != nil {
			count = -1 // the driver's word for not known
		}
		return map[string]any{"count": count}, nil
	}
	statement, err := s.PrepareContext(ctx, r.SQL)
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	total := int64(0)
	for _, row := range r.Parameters {
		done, err := statement.ExecContext(ctx, arguments(row)...)
		if err != nil {
			return nil, err
		}
		count, err := done.RowsAffected()
		if err != nil {
			return nil, err
		}
		total += count
	}
	return map[string]any{"count": total}, nil
}

func (m *measured) addRow(row []any) {
	m.Rows++
	for i, value := range row {
		switch value := value.(type) {
		case int64:
			m.Sums[i][0] += value
		case string:
			m.addText(i, value)
		}
	}
}

func (s *sqlConn) measure(ctx context.Context, r *request) (any, error) {
	var found measured
	err := s.each(ctx, r.SQL, nil, func(names []string) { found.begin(len(names)) }, found.addRow)
	return found, err
}

// streams reads all statements side by side, on the one connection.
func (s *sqlConn) streams(ctx context.Context, r *request) (any, error) {
	found := make([]measured, len(r.Statements))
	failed := make([]error, len(r.Statements))
	var begun, done sync.WaitGroup
	begun.Add(len(r.Statements))
	for i, text := range r.Statements {
		done.Add(1)
		go func() {
			defer done.Done()
			first := sync.OnceFunc(begun.Done)
			defer first()
			failed[i] = s.each(ctx, text, nil, func(names []string) { found[i].begin(len(names)) },
				func(row []any) {
					first()
					begun.Wait()
					found[i].addRow(row)
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

func (s *sqlConn) transaction(ctx context.Context, r *request) (any, error) {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, text := range r.Statements {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	if r.End == "rollback" {
		err = tx.Rollback()
	} else {
		err = tx.Commit()
	}
	return map[string]any{"ended": r.End}, err
}

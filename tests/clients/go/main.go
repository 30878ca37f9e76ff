// A client of others, told what to do: it reads requests from stdin, one JSON object per line,
// does each with arrow-go's Flight SQL client or its driver for database/sql, and answers with
// one line of JSON. What it answers is judged by pytest.
//
//	clients flight|sql HOST PORT CA|- USER PASSWORD
//	clients flight|sql HOST PORT CA|- token TOKEN
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc/status"
)

// who says where the server is and as whom to speak to it.
type who struct {
	address        string
	tls            *tls.Config // nil: in the clear
	user, password string
	token          string // instead of user and password
}

type request struct {
	Do         string
	SQL        string
	Statements []string
	Parameters [][]any // rows of values
	Large      bool    // take messages larger than the client's default
	What       string
	Schema     *string
	Table      string
	Mode       string
	Rows       [][]any
	End        string
	Options    map[string]string
}

// client does what a request asks for; nil where the client cannot.
type client map[string]func(context.Context, *request) (any, error)

type result struct {
	Columns [][]string `json:"columns"` // name, type
	Rows    [][]any    `json:"rows"`
}

// measured is a result too large to show: for each column the sum of its numbers, or the bytes
// of its text and how many of them are an x.
type measured struct {
	Rows int64     `json:"rows"`
	Sums [][]int64 `json:"sums"`
}

func parse(words []string) (who, error) {
	if len(words) != 5 {
		return who{}, errors.New("five words expected: HOST PORT CA|- USER|token SECRET")
	}
	w := who{address: words[0] + ":" + words[1]}
	if words[2] != "-" {
		pem, err := os.ReadFile(words[2])
		if err != nil {
			return w, err
		}
		w.tls = &tls.Config{RootCAs: x509.NewCertPool()}
		if !w.tls.RootCAs.AppendCertsFromPEM(pem) {
			return w, fmt.Errorf("no certificate in %s", words[2])
		}
	}
	if words[3] == "token" {
		w.token = words[4]
	} else {
		w.user, w.password = words[3], words[4]
	}
	return w, nil
}

func answer(c client, line []byte) any {
	var r request
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&r); err != nil {
		return map[string]any{"broken": err.Error()}
	}
	do := c[r.Do]
	if do == nil {
		return map[string]any{"broken": "this client cannot " + r.Do}
	}
	found, err := do(context.Background(), &r)
	if err != nil {
		s, _ := status.FromError(err)
		return map[string]any{"error": map[string]any{
			"code": s.Code(), "message": err.Error()}}
	}
	return found
}

func run(words []string) error {
	if len(words) == 0 {
		return errors.New("which client: flight or sql")
	}
	w, err := parse(words[1:])
	if err != nil {
		return err
	}
	connect := map[string]func(who) (client, error){"flight": flightClient, "sql": sqlClient}[words[0]]
	if connect == nil {
		return fmt.Errorf("no client %q", words[0])
	}
	out := json.NewEncoder(os.Stdout)
	c, err := connect(w)
	if err != nil {
		s, _ := status.FromError(err)
		return out.Encode(map[string]any{"error": map[string]any{
			"code": s.Code(), "message": err.Error()}})
	}
	if err := out.Encode(map[string]any{"connected": true}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if err := out.Encode(answer(c, lines.Bytes())); err != nil {
			return err
		}
	}
	return lines.Err()
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

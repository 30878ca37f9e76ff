//! Text to one statement: the kinds the bridge plans, in a form of our own; the rest refused by
//! name.

use std::borrow::Cow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{CreateExternalTable, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{
    ColumnDef, ColumnOption, CreateTable, CreateTableOptions, DataType as SqlType, Ident, Insert,
    ObjectName, ObjectType, Query, SetExpr, Statement as Ast, TableConstraint, TableFactor,
    TableObject,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::abi::{
    IGB_FLAG_CASCADE, IGB_FLAG_IF_EXISTS, IGB_FLAG_IF_NOT_EXISTS, IGB_FLAG_OR_REPLACE,
    IGB_FLAG_OVERWRITE, IGB_FLAG_TEMPORARY,
};
use crate::dialect::{parse_one, IglooDialect};
use crate::error::{Error, Result, Status};
use crate::respell::{byte_offset, respell};
use crate::spans::{self, TextError};

/// One statement that the bridge plans.
pub(crate) enum Statement {
    Query(Box<Query>),
    Insert {
        flags: u32,
        target: Vec<String>,
        columns: Vec<String>,
        insert: Box<Insert>,
    },
    Copy(Copy),
    CreateTableAs {
        flags: u32,
        target: Vec<String>,
        columns: Vec<ColumnDef>,
        query: Box<Query>,
    },
    CreateTable {
        flags: u32,
        target: Vec<String>,
        columns: Vec<ColumnDef>,
    },
    CreateView {
        flags: u32,
        target: Vec<String>,
        columns: Vec<String>,
        query: Box<Query>,
        /// The query as written.
        definition: String,
    },
    CreateExternalTable {
        flags: u32,
        target: Vec<String>,
        table: Box<CreateExternalTable>,
        /// Keys lower-cased.
        options: Vec<(String, String)>,
    },
    Drop {
        flags: u32,
        target: Vec<String>,
        view: bool,
    },
}

/// `COPY … TO`, in DataFusion's form and in PostgreSQL's and DuckDB's.
#[derive(Default)]
pub(crate) struct Copy {
    pub query: Option<Box<Query>>,
    pub location: String,
    /// "" = by extension.
    pub format: String,
    pub partition_columns: Vec<String>,
    pub options: Vec<(String, String)>,
    pub flags: u32,
}

/// Parse exactly one statement. `nesting` is the parser's recursion limit.
pub(crate) fn parse(sql: &str, nesting: usize) -> Result<Statement> {
    let tokens = tokenize(sql)?;
    let respelled = respell(sql, &tokens);
    let tokens = respelled.as_deref().map_or(Ok(tokens), tokenize)?;
    let written = sql;
    let sql = respelled.as_deref().unwrap_or(sql);
    let words = leading_words(&tokens);
    match words.first().map(String::as_str) {
        None if tokens
            .iter()
            .all(|t| matches!(t.token, Token::Whitespace(_) | Token::SemiColon)) =>
        {
            return Err(Error::syntax("the statement is empty"));
        }
        Some("COPY") => return parse_copy(sql, tokens, nesting),
        _ => {}
    }
    let (text, names) = take_bare_columns(sql, &tokens, &words);
    match parse_one(&text, nesting).map_err(|e| parse_failed(e, sql))? {
        DfStatement::Statement(statement) => {
            let mut converted = convert(*statement, written, &tokens, &words)?;
            if let Statement::CreateTableAs { columns, .. } = &mut converted {
                columns.extend(names.into_iter().map(|name| ColumnDef {
                    name,
                    data_type: SqlType::Unspecified,
                    options: vec![],
                }));
            }
            Ok(converted)
        }
        DfStatement::CreateExternalTable(table) => convert_external(table),
        _ => Err(refuse(words.first().map_or("the statement", String::as_str))),
    }
}

/// `CREATE TABLE t (a, b) AS …`: the parser wants types with the names, so it gets blanks in place
/// of the list, and the names come beside. Places in the text stay.
fn take_bare_columns<'a>(
    sql: &'a str,
    tokens: &[TokenWithSpan],
    words: &[String],
) -> (Cow<'a, str>, Vec<Ident>) {
    let whole = (Cow::Borrowed(sql), Vec::new());
    if words.first().map(String::as_str) != Some("CREATE") || !words.iter().any(|w| w == "TABLE") {
        return whole;
    }
    let mut tokens = tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_)));
    let Some(open) = tokens.by_ref().find(|token| token.token == Token::LParen) else {
        return whole;
    };
    let mut names = Vec::new();
    let close = loop {
        match tokens.next().map(|token| &token.token) {
            Some(Token::Word(word)) => names.push(match word.quote_style {
                Some(quote) => Ident::with_quote(quote, &word.value),
                None => Ident::new(&word.value),
            }),
            _ => return whole,
        }
        match tokens.next() {
            Some(token) if token.token == Token::Comma => continue,
            Some(token) if token.token == Token::RParen => break token,
            _ => return whole,
        }
    };
    let is_as = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::AS);
    if !tokens.next().is_some_and(is_as) {
        return whole;
    }
    let from = byte_offset(sql, open.span.start.line, open.span.start.column);
    let to = byte_offset(sql, close.span.end.line, close.span.end.column);
    let blanks = sql[from..to].chars().map(|c| if c == '\n' { '\n' } else { ' ' });
    let text = sql[..from].chars().chain(blanks).chain(sql[to..].chars()).collect();
    (Cow::Owned(text), names)
}

/// Parse one query: the text of a view.
pub(crate) fn parse_query(sql: &str, nesting: usize) -> Result<Box<Query>> {
    let respelled = respell(sql, &tokenize(sql)?);
    let sql = respelled.as_deref().unwrap_or(sql);
    if let DfStatement::Statement(statement) =
        parse_one(sql, nesting).map_err(|e| parse_failed(e, sql))?
    {
        if let Ast::Query(query) = *statement {
            return Ok(query);
        }
    }
    Err(Error::internal("the definition of the view is not a query"))
}

fn tokenize(sql: &str) -> Result<Vec<TokenWithSpan>> {
    Tokenizer::new(&IglooDialect, sql)
        .tokenize_with_location()
        .map_err(|e| wrong_text(spans::parser_error(&e.into(), sql)))
}

fn parse_failed(error: DataFusionError, sql: &str) -> Box<Error> {
    match spans::parse_error(&error, sql) {
        Some(text) => wrong_text(text),
        None => error.into(),
    }
}

/// A parser's error as ours.
pub(crate) fn wrong_text(text: TextError) -> Box<Error> {
    let status = match text.sqlstate {
        "54001" => Status::ResourceExhausted,
        _ => Status::SyntaxError,
    };
    Error::new(status, text.sqlstate, text.message)
        .with_detail(text.detail.unwrap_or_default())
        .with_place(text.line, text.column)
}

fn expect_end(parser: &mut Parser) -> Result<()> {
    while parser.consume_token(&Token::SemiColon) {}
    let next = parser.peek_token();
    if next.token == Token::EOF {
        return Ok(());
    }
    let at = next.span.start;
    // After a semicolon it is a second statement, else it is a stray token.
    parser.prev_token();
    let error = if parser.next_token().token == Token::SemiColon {
        Error::syntax("cannot run multiple commands as one statement")
    } else {
        Error::syntax(format!("syntax error at or near \"{}\"", next.token))
    };
    Err(error.with_place(at.line, at.column))
}

/// The unquoted words that the statement begins with, upper-cased; at most four.
fn leading_words(tokens: &[TokenWithSpan]) -> Vec<String> {
    tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .skip_while(|token| token.token == Token::SemiColon)
        .map_while(|token| match &token.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
            Token::LParen => Some("(".to_string()),
            _ => None,
        })
        .take(4)
        .collect()
}

// ---- names --------------------------------------------------------------------------------

pub(crate) fn fold(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// The parts of a name, unquoted ones lower-cased.
pub(crate) fn name_parts(name: &ObjectName) -> Result<Vec<String>> {
    let parts: Option<Vec<String>> = name.0.iter().map(|p| p.as_ident().map(fold)).collect();
    match parts {
        Some(parts) if (1..=3).contains(&parts.len()) => Ok(parts),
        _ => Err(Error::syntax(format!("improper qualified name: {name}"))),
    }
}

fn flag(on: bool, flag: u32) -> u32 {
    if on {
        flag
    } else {
        0
    }
}

// ---- statements ---------------------------------------------------------------------------

fn convert(
    statement: Ast,
    sql: &str,
    tokens: &[TokenWithSpan],
    words: &[String],
) -> Result<Statement> {
    match statement {
        Ast::Query(query) => match dml_inside(&query.body) {
            Some(name) => Err(refuse(name)),
            None => Ok(Statement::Query(query)),
        },
        Ast::Insert(insert) => convert_insert(insert),
        Ast::CreateTable(create) => convert_create_table(create),
        Ast::CreateView(view) => {
            if view.materialized {
                return Err(refuse("CREATE MATERIALIZED VIEW"));
            }
            if !matches!(view.options, CreateTableOptions::None) {
                return Err(refuse("CREATE VIEW … WITH (…)"));
            }
            Ok(Statement::CreateView {
                flags: flag(view.if_not_exists, IGB_FLAG_IF_NOT_EXISTS)
                    | flag(view.or_replace, IGB_FLAG_OR_REPLACE)
                    | flag(view.temporary, IGB_FLAG_TEMPORARY),
                target: name_parts(&view.name)?,
                columns: view.columns.iter().map(|column| fold(&column.name)).collect(),
                query: view.query,
                definition: text_after_as(sql, tokens),
            })
        }
        Ast::Drop { object_type, if_exists, names, cascade, .. } => {
            let view = match object_type {
                ObjectType::Table => false,
                ObjectType::View => true,
                _ => return Err(refuse(&words[..words.len().min(2)].join(" "))),
            };
            let [name] = names.as_slice() else {
                return Err(Error::unsupported("cannot drop several objects in one statement")
                    .with_hint("Drop them one by one."));
            };
            Ok(Statement::Drop {
                flags: flag(if_exists, IGB_FLAG_IF_EXISTS) | flag(cascade, IGB_FLAG_CASCADE),
                target: name_parts(name)?,
                view,
            })
        }
        _ => {
            const TWO_WORDS: [&str; 8] =
                ["CREATE", "ALTER", "DROP", "SHOW", "COMMENT", "LOCK", "START", "SET"];
            let first = words.first().map(String::as_str).unwrap_or("the statement");
            let count = if TWO_WORDS.contains(&first) { 2 } else { 1 };
            Err(refuse(&words[..words.len().min(count)].join(" ")))
        }
    }
}

/// A data-modifying statement where a query is expected.
fn dml_inside(body: &SetExpr) -> Option<&'static str> {
    match body {
        SetExpr::Insert(_) => Some("INSERT inside a query"),
        SetExpr::Update(_) => Some("UPDATE"),
        SetExpr::Delete(_) => Some("DELETE"),
        SetExpr::Merge(_) => Some("MERGE"),
        _ => None,
    }
}

fn refuse(name: &str) -> Box<Error> {
    let error = Error::unsupported(format!("{name} is not supported"));
    match name {
        "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE" => error.with_hint(
            "Tables are changed by INSERT, or replaced by CREATE OR REPLACE TABLE … AS SELECT.",
        ),
        _ => error,
    }
}

fn convert_insert(insert: Insert) -> Result<Statement> {
    let TableObject::TableName(name) = &insert.table else {
        return Err(refuse("INSERT INTO a table function"));
    };
    let unsupported = [
        (insert.on.is_some(), "INSERT … ON CONFLICT"),
        (insert.returning.is_some(), "INSERT … RETURNING"),
        (insert.or.is_some() || insert.replace_into, "INSERT OR REPLACE"),
        (insert.overwrite, "INSERT OVERWRITE"),
        (insert.table_alias.is_some(), "an alias in INSERT"),
        (insert.partitioned.is_some(), "INSERT … PARTITION"),
    ];
    if let Some((_, name)) = unsupported.iter().find(|(used, _)| *used) {
        return Err(refuse(name));
    }
    if insert.source.is_none() {
        return Err(refuse("INSERT … DEFAULT VALUES"));
    }
    let mut columns = Vec::new();
    for column in &insert.columns {
        columns.extend(name_parts(column)?.pop());
    }
    Ok(Statement::Insert { flags: 0, target: name_parts(name)?, columns, insert: Box::new(insert) })
}

fn convert_create_table(create: CreateTable) -> Result<Statement> {
    let flags = flag(create.if_not_exists, IGB_FLAG_IF_NOT_EXISTS)
        | flag(create.or_replace, IGB_FLAG_OR_REPLACE)
        | flag(create.temporary, IGB_FLAG_TEMPORARY);
    let target = name_parts(&create.name)?;
    if let Some(constraint) = create.constraints.first() {
        return Err(refuse(constraint_name(constraint)));
    }
    let unsupported = [
        (create.like.is_some(), "CREATE TABLE … LIKE"),
        (create.clone.is_some(), "CREATE TABLE … CLONE"),
        (create.inherits.is_some(), "CREATE TABLE … INHERITS"),
        (create.partition_by.is_some(), "CREATE TABLE … PARTITION BY"),
        (create.partition_of.is_some(), "CREATE TABLE … PARTITION OF"),
        (create.on_commit.is_some(), "CREATE TABLE … ON COMMIT"),
        (create.location.is_some(), "CREATE TABLE … LOCATION"),
        (!matches!(create.table_options, CreateTableOptions::None), "CREATE TABLE … WITH (…)"),
    ];
    if let Some((_, name)) = unsupported.iter().find(|(used, _)| *used) {
        return Err(refuse(name));
    }
    match create.query {
        Some(query) => {
            Ok(Statement::CreateTableAs { flags, target, columns: create.columns, query })
        }
        None => Ok(Statement::CreateTable { flags, target, columns: create.columns }),
    }
}

/// Of a column's options only NOT NULL and NULL mean something.
pub(crate) fn check_column_options(column: &ColumnDef) -> Result<()> {
    for option in &column.options {
        let name = match &option.option {
            ColumnOption::NotNull | ColumnOption::Null => continue,
            ColumnOption::PrimaryKey(_) => "PRIMARY KEY",
            ColumnOption::Unique(_) => "UNIQUE",
            ColumnOption::ForeignKey(_) => "REFERENCES",
            ColumnOption::Check(_) => "CHECK",
            ColumnOption::Default(_) => "DEFAULT",
            ColumnOption::Generated { .. } => "GENERATED",
            _ => "this column option",
        };
        return Err(refuse(name));
    }
    Ok(())
}

fn constraint_name(constraint: &TableConstraint) -> &'static str {
    match constraint {
        TableConstraint::PrimaryKey(_) => "PRIMARY KEY",
        TableConstraint::Unique(_) => "UNIQUE",
        TableConstraint::ForeignKey(_) => "FOREIGN KEY",
        TableConstraint::Check(_) => "CHECK",
        _ => "a table constraint",
    }
}

/// The text after the first AS outside parentheses, up to the last token: a view's query.
fn text_after_as(sql: &str, tokens: &[TokenWithSpan]) -> String {
    let mut depth = 0i32;
    let mut start = None;
    let mut end = None;
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) | Token::SemiColon | Token::EOF => continue,
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if start.is_none() {
            let is_as = matches!(&token.token, Token::Word(word) if word.keyword == Keyword::AS);
            if is_as && depth == 0 {
                start = Some(token.span.end);
            }
        }
        end = Some(token.span.end);
    }
    let (Some(start), Some(end)) = (start, end) else { return String::new() };
    let from = byte_offset(sql, start.line, start.column);
    let to = byte_offset(sql, end.line, end.column);
    sql.get(from..to).unwrap_or("").trim().to_string()
}

// ---- CREATE EXTERNAL TABLE ----------------------------------------------------------------

fn convert_external(table: CreateExternalTable) -> Result<Statement> {
    let unsupported = [
        (table.unbounded, "CREATE UNBOUNDED EXTERNAL TABLE"),
        (!table.order_exprs.is_empty(), "CREATE EXTERNAL TABLE … WITH ORDER"),
        (table.locations.len() > 1, "CREATE EXTERNAL TABLE with several locations"),
    ];
    if let Some((_, name)) = unsupported.iter().find(|(used, _)| *used) {
        return Err(refuse(name));
    }
    if let Some(constraint) = table.constraints.first() {
        return Err(refuse(constraint_name(constraint)));
    }
    let options = table
        .options
        .iter()
        .map(|(key, value)| {
            let text = value.clone().into_string().unwrap_or_else(|| value.to_string());
            (key.to_lowercase(), text)
        })
        .collect();
    Ok(Statement::CreateExternalTable {
        flags: flag(table.if_not_exists, IGB_FLAG_IF_NOT_EXISTS)
            | flag(table.or_replace, IGB_FLAG_OR_REPLACE)
            | flag(table.temporary, IGB_FLAG_TEMPORARY),
        target: name_parts(&table.name)?,
        table: Box::new(table),
        options,
    })
}

// ---- COPY ---------------------------------------------------------------------------------

fn parse_copy(sql: &str, tokens: Vec<TokenWithSpan>, nesting: usize) -> Result<Statement> {
    let parser =
        Parser::new(&IglooDialect).with_recursion_limit(nesting).with_tokens_with_locations(tokens);
    copy_statement(parser).map_err(|mut error| {
        // The parser gives no place to the end of the text.
        if error.status == Status::SyntaxError && error.line == 0 {
            let (line, column) = spans::end_of(sql);
            error = error.with_place(line, column);
        }
        error
    })
}

fn copy_statement(mut parser: Parser) -> Result<Statement> {
    while parser.consume_token(&Token::SemiColon) {}
    parser.expect_keyword(Keyword::COPY)?;
    let mut copy = Copy::default();
    if parser.consume_token(&Token::LParen) {
        let query = parser.parse_query()?;
        if let Some(name) = dml_inside(&query.body) {
            return Err(refuse(name));
        }
        copy.query = Some(query);
        parser.expect_token(&Token::RParen)?;
    } else {
        let name = parser.parse_object_name(false)?;
        let columns = if parser.peek_token().token == Token::LParen {
            word_list(&mut parser)?
        } else {
            Vec::new()
        };
        copy.query = Some(select_from(name, &columns)?);
    }
    if parser.parse_keyword(Keyword::FROM) {
        return Err(refuse("COPY FROM").with_hint("Use INSERT INTO t SELECT * FROM 'file'."));
    }
    parser.expect_keyword(Keyword::TO)?;
    if parser.parse_keyword(Keyword::STDOUT) {
        return Err(refuse("COPY TO STDOUT"));
    }
    copy.location = parser.parse_literal_string()?;
    loop {
        if parser.parse_keyword(Keyword::STORED) {
            parser.expect_keyword(Keyword::AS)?;
            copy.format = option_value(&mut parser)?.to_lowercase();
        } else if parser.parse_keywords(&[Keyword::PARTITIONED, Keyword::BY]) {
            copy.partition_columns = word_list(&mut parser)?;
        } else if parser.parse_keyword(Keyword::WITH)
            || parser.parse_keyword(Keyword::OPTIONS)
            || parser.peek_token().token == Token::LParen
        {
            if parser.peek_token().token == Token::LParen {
                copy_options(&mut parser, &mut copy)?;
            }
        } else if parser.parse_keyword(Keyword::OVERWRITE) {
            copy.flags |= IGB_FLAG_OVERWRITE;
        } else {
            break;
        }
    }
    expect_end(&mut parser)?;
    Ok(Statement::Copy(copy))
}

/// `(key [=] [value], …)`: a key is a word, dotted words or a string.
fn copy_options(parser: &mut Parser, copy: &mut Copy) -> Result<()> {
    parser.expect_token(&Token::LParen)?;
    while !parser.consume_token(&Token::RParen) {
        let key = option_key(parser)?;
        let _ = parser.consume_token(&Token::Eq);
        let next = parser.peek_token().token;
        if key == "partition_by" {
            copy.partition_columns = match next {
                Token::LParen => word_list(parser)?,
                _ => vec![option_value(parser)?.to_lowercase()],
            };
        } else {
            let value = match next {
                Token::Comma | Token::RParen => "true".to_string(),
                Token::LParen => word_list(parser)?.join(","),
                _ => option_value(parser)?,
            };
            match key.as_str() {
                "format" => copy.format = value.to_lowercase(),
                "overwrite" | "overwrite_or_ignore" => {
                    copy.flags |= flag(truth(&key, &value)?, IGB_FLAG_OVERWRITE);
                }
                _ => copy.options.push((key, value)),
            }
        }
        if !parser.consume_token(&Token::Comma) {
            parser.expect_token(&Token::RParen)?;
            break;
        }
    }
    Ok(())
}

fn truth(key: &str, value: &str) -> Result<bool> {
    match value.to_lowercase().as_str() {
        "true" | "on" | "1" | "yes" => Ok(true),
        "false" | "off" | "0" | "no" => Ok(false),
        _ => Err(Error::new(
            Status::InvalidArgument,
            "22023",
            format!("option \"{key}\" requires a Boolean value"),
        )),
    }
}

fn option_key(parser: &mut Parser) -> Result<String> {
    let mut key = option_value(parser)?;
    while parser.consume_token(&Token::Period) {
        key.push('.');
        key.push_str(&option_value(parser)?);
    }
    Ok(key.to_lowercase())
}

/// A word, a number or a string, as text.
fn option_value(parser: &mut Parser) -> Result<String> {
    let minus = parser.consume_token(&Token::Minus);
    let next = parser.next_token();
    match next.token {
        Token::Number(text, _) => Ok(if minus { format!("-{text}") } else { text }),
        Token::Word(word) => Ok(word.value),
        Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::EscapedStringLiteral(text) => Ok(text),
        token => Err(Error::syntax(format!("syntax error at or near \"{token}\""))
            .with_place(next.span.start.line, next.span.start.column)),
    }
}

/// `(a, "B", 'c')`: names, unquoted ones lower-cased.
fn word_list(parser: &mut Parser) -> Result<Vec<String>> {
    parser.expect_token(&Token::LParen)?;
    let mut words = Vec::new();
    loop {
        words.push(fold(&parser.parse_identifier()?));
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    parser.expect_token(&Token::RParen)?;
    Ok(words)
}

/// `SELECT columns FROM name`, where the name keeps its place in the text.
fn select_from(name: ObjectName, columns: &[String]) -> Result<Box<Query>> {
    let list = if columns.is_empty() {
        "*".to_string()
    } else {
        let quoted: Vec<String> =
            columns.iter().map(|c| format!("\"{}\"", c.replace('"', "\"\""))).collect();
        quoted.join(", ")
    };
    let sql = format!("SELECT {list} FROM t");
    let mut query = Parser::new(&IglooDialect).try_with_sql(&sql)?.parse_query()?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        for from in &mut select.from {
            if let TableFactor::Table { name: placeholder, .. } = &mut from.relation {
                *placeholder = name.clone();
            }
        }
    }
    Ok(query)
}

//! Constructs that the parser does not take, in a spelling that it takes. Only single characters
//! change, so that places in the text stay.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// `STRUCT(a INT)` as a type becomes `STRUCT<a INT>`; `FROM VALUES (1), (2) AS t` becomes
/// `FROM(VALUES (1), (2))AS t`.
pub(crate) fn respell(sql: &str, tokens: &[TokenWithSpan]) -> Option<String> {
    let tokens: Vec<&TokenWithSpan> =
        tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).collect();
    let mut changes: Vec<(usize, u8)> = Vec::new();
    for at in 0..tokens.len() {
        if is_keyword(&tokens, at, Keyword::STRUCT) {
            respell_struct(sql, &tokens, at, &mut changes);
        } else if is_keyword(&tokens, at, Keyword::FROM)
            && is_keyword(&tokens, at + 1, Keyword::VALUES)
        {
            respell_values(sql, &tokens, at + 1, &mut changes);
        }
    }
    if changes.is_empty() {
        return None;
    }
    let mut bytes = sql.as_bytes().to_vec();
    for (offset, byte) in changes {
        match bytes.get_mut(offset) {
            Some(place) => *place = byte,
            None => bytes.push(byte), // just past the end
        }
    }
    String::from_utf8(bytes).ok()
}

fn is_keyword(tokens: &[&TokenWithSpan], at: usize, keyword: Keyword) -> bool {
    matches!(tokens.get(at).map(|t| &t.token), Some(Token::Word(word)) if word.keyword == keyword)
}

fn is_word(tokens: &[&TokenWithSpan], at: usize) -> bool {
    matches!(tokens.get(at).map(|t| &t.token), Some(Token::Word(_)))
}

/// The index of the parenthesis that closes the one at `open`.
fn closing(tokens: &[&TokenWithSpan], open: usize) -> Option<usize> {
    if tokens.get(open)?.token != Token::LParen {
        return None;
    }
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// A name with a type in the parentheses makes it a type; values make it a call.
fn respell_struct(sql: &str, tokens: &[&TokenWithSpan], at: usize, changes: &mut Vec<(usize, u8)>) {
    let Some(close) = closing(tokens, at + 1) else { return };
    if is_word(tokens, at + 2)
        && is_word(tokens, at + 3)
        && !is_keyword(tokens, at + 3, Keyword::AS)
    {
        let (open, close) = (tokens[at + 1].span.start, tokens[close].span.start);
        changes.push((byte_offset(sql, open.line, open.column), b'<'));
        changes.push((byte_offset(sql, close.line, close.column), b'>'));
    }
}

fn respell_values(
    sql: &str,
    tokens: &[&TokenWithSpan],
    values: usize,
    changes: &mut Vec<(usize, u8)>,
) {
    let Some(mut last) = closing(tokens, values + 1) else { return };
    while tokens.get(last + 1).is_some_and(|token| token.token == Token::Comma) {
        match closing(tokens, last + 2) {
            Some(close) => last = close,
            None => break,
        }
    }
    let start = tokens[values].span.start;
    let end = tokens[last].span.end;
    let before = byte_offset(sql, start.line, start.column).wrapping_sub(1);
    let after = byte_offset(sql, end.line, end.column);
    let blank = |offset: usize| sql.as_bytes().get(offset).is_some_and(u8::is_ascii_whitespace);
    if blank(before) && (blank(after) || after == sql.len()) {
        changes.push((before, b'('));
        changes.push((after, b')'));
    }
}

/// The byte at a 1-based line and column, columns counted in characters.
pub(crate) fn byte_offset(sql: &str, line: u64, column: u64) -> usize {
    let (mut at_line, mut at_column) = (1, 1);
    for (offset, c) in sql.char_indices() {
        if at_line == line && at_column == column {
            return offset;
        }
        if c == '\n' {
            at_line += 1;
            at_column = 1;
        } else {
            at_column += 1;
        }
    }
    sql.len()
}

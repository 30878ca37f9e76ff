//! Errors: what a failure is called, and how DataFusion's failures are told in PostgreSQL's words.

use std::ffi::c_char;

use crate::abi::igb_error;
use crate::memory;

/// The integers of igloo_status.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok = 0,
    InvalidArgument = 1,
    SyntaxError = 2,
    NotFound = 3,
    AlreadyExists = 4,
    PermissionDenied = 5,
    Unauthenticated = 6,
    Unsupported = 7,
    DataError = 8,
    Constraint = 9,
    OutOfMemory = 10,
    ResourceExhausted = 11,
    Cancelled = 12,
    DeadlineExceeded = 13,
    Unavailable = 14,
    IoError = 15,
    FailedPrecondition = 16,
    DataLoss = 17,
    Internal = 18,
    Closed = 19,
}

impl Status {
    /// An integer that C returned; an unknown one is INTERNAL.
    pub fn from_abi(status: i32) -> Status {
        use Status::*;
        const ALL: [Status; 20] = [
            Ok,
            InvalidArgument,
            SyntaxError,
            NotFound,
            AlreadyExists,
            PermissionDenied,
            Unauthenticated,
            Unsupported,
            DataError,
            Constraint,
            OutOfMemory,
            ResourceExhausted,
            Cancelled,
            DeadlineExceeded,
            Unavailable,
            IoError,
            FailedPrecondition,
            DataLoss,
            Internal,
            Closed,
        ];
        usize::try_from(status).ok().and_then(|at| ALL.get(at).copied()).unwrap_or(Internal)
    }
}

/// A failure as C sees it. It travels through DataFusion as `DataFusionError::External`.
#[derive(Clone, Debug)]
pub struct Error {
    pub status: Status,
    pub sqlstate: String,
    pub retryable: bool,
    pub line: i32,
    pub column: i32,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

pub type Result<T> = std::result::Result<T, Box<Error>>;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl Error {
    // Boxed at once: an error travels through many `?`, and is 150 bytes.
    pub fn new(status: Status, sqlstate: &str, message: impl Into<String>) -> Box<Error> {
        Box::new(Error {
            status,
            sqlstate: sqlstate.to_string(),
            retryable: false,
            line: 0,
            column: 0,
            message: message.into(),
            detail: String::new(),
            hint: String::new(),
        })
    }

    pub fn internal(message: impl Into<String>) -> Box<Error> {
        Error::new(Status::Internal, "XX000", message)
    }

    pub fn unsupported(message: impl Into<String>) -> Box<Error> {
        Error::new(Status::Unsupported, "0A000", message)
    }

    pub fn syntax(message: impl Into<String>) -> Box<Error> {
        Error::new(Status::SyntaxError, "42601", message)
    }

    pub fn panicked(text: &str) -> Box<Error> {
        if let Some(bytes) = memory::refused(text) {
            return Error::out_of_memory()
                .with_detail(format!("An allocation of {bytes} bytes was refused."));
        }
        if text.contains("can't spawn worker thread") {
            return Error::new(Status::ResourceExhausted, "53000", "could not start a thread")
                .with_detail("The system gives no more threads.");
        }
        Error::internal("the engine failed unexpectedly").with_detail(text)
    }

    /// engine.memory_limit is reached.
    pub fn out_of_memory() -> Box<Error> {
        let limit = memory::limit_text();
        let message = format!("out of memory: engine.memory_limit ({limit}) is reached");
        Error::new(Status::ResourceExhausted, "53200", message)
            .with_hint("Raise engine.memory_limit, or run fewer statements at the same time.")
    }

    /// What a set cancel token says.
    pub fn stopped(status: i32) -> Box<Error> {
        match Status::from_abi(status) {
            Status::DeadlineExceeded => Error::new(
                Status::DeadlineExceeded,
                "57014",
                "canceling statement due to statement timeout",
            ),
            _ => Error::new(Status::Cancelled, "57014", "canceling statement due to user request"),
        }
    }

    pub fn with_detail(mut self: Box<Self>, detail: impl Into<String>) -> Box<Self> {
        self.detail = detail.into();
        self
    }

    pub fn with_hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = hint.into();
        self
    }

    pub fn with_place(mut self: Box<Self>, line: u64, column: u64) -> Box<Self> {
        self.line = i32::try_from(line).unwrap_or(0);
        self.column = i32::try_from(column).unwrap_or(0);
        self
    }

    /// What a callback of C answered: its status and the error it filled.
    pub fn from_callback(status: i32, error: &igb_error) -> Box<Error> {
        let status = Status::from_abi(status);
        let sqlstate = c_text(&error.sqlstate);
        Box::new(Error {
            status: if status == Status::Ok { Status::Internal } else { status },
            sqlstate: if sqlstate.len() == 5 { sqlstate } else { "XX000".to_string() },
            retryable: error.retryable != 0,
            line: error.line,
            column: error.column,
            message: c_text(&error.message),
            detail: c_text(&error.detail),
            hint: c_text(&error.hint),
        })
    }

    pub fn to_abi(&self) -> igb_error {
        let mut out = igb_error::zeroed();
        out.status = self.status as i32;
        out.retryable = self.retryable.into();
        out.line = self.line;
        out.column = self.column;
        put_text(&mut out.sqlstate, &self.sqlstate);
        put_text(&mut out.message, &self.message);
        put_text(&mut out.detail, &self.detail);
        put_text(&mut out.hint, &self.hint);
        out
    }
}

impl igb_error {
    /// All zero: what a callback is given to fill.
    pub fn zeroed() -> igb_error {
        igb_error {
            status: 0,
            sqlstate: [0; 6],
            retryable: 0,
            reserved0: 0,
            line: 0,
            column: 0,
            message: [0; 1024],
            detail: [0; 1024],
            hint: [0; 512],
            reserved: [0; 108],
        }
    }
}

/// Text up to the first NUL, with what is not UTF-8 replaced.
fn c_text(chars: &[c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Copy as much as fits, cut between characters; NUL bytes become spaces.
fn put_text(out: &mut [c_char], text: &str) {
    let mut end = text.len().min(out.len() - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in out.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = if *from == 0 { b' ' as c_char } else { *from as c_char };
    }
}

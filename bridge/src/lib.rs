//! A C ABI over Apache DataFusion: planning, execution, and reading and writing of data files.
//!
//! See README.md. The header is `include/igloo_bridge.h`, made from this crate by cbindgen.
#![allow(non_camel_case_types)] // the C names are the names
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use mimalloc::MiMalloc;

// Rust's memory and C's never meet: what one side allocates it frees itself.
#[global_allocator]
static GLOBAL: MiMalloc = MiMalloc;

pub mod abi;
pub mod arithmetic;
pub mod bind;
mod checks;
pub mod describe;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod explain;
mod file_table;
pub mod function_list;
pub mod functions;
pub mod names;
mod nullable;
mod parse;
pub mod plan;
pub mod query;
mod relations;
mod resolve;
mod respell;
mod rules;
pub mod session;
mod session_functions;
#[cfg(test)]
mod smoke;
mod spans;
mod store;
mod stream;
mod stream_table;
pub mod sum;
#[cfg(test)]
mod testing;
mod time_text;
mod translate;
mod using_star;
pub mod write;

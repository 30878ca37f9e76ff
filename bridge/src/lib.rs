//! A C ABI over Apache DataFusion: planning, execution, and reading and writing of data files.
//!
//! See README.md. The header is `include/igloo_bridge.h`, made from this crate by cbindgen.
#![allow(non_camel_case_types)]
// the C names are the names
// The one way to make a failed allocation an error instead of the end of the process; tools/rustc.sh
// allows it to this crate alone (docs/decisions/0005).
#![feature(alloc_error_hook)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// Rust's memory and C's never meet: what one side allocates it frees itself.
#[global_allocator]
static GLOBAL: memory::Gate = memory::Gate;

pub mod abi;
mod again;
pub mod arithmetic;
pub mod bind;
mod checks;
pub mod cluster;
mod comparing;
mod damaged;
pub mod describe;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod explain;
mod fail;
mod file_cache;
mod file_table;
pub mod function_list;
pub mod functions;
mod grouping;
mod late_rows;
mod list_size;
mod memory;
pub mod names;
mod names_twice;
mod nullable;
mod pacing;
#[cfg(test)]
mod panics;
mod parse;
mod passing;
pub mod plan;
mod pulling;
pub mod query;
mod relations;
mod remote;
mod resolve;
mod respell;
mod rules;
pub mod session;
mod session_functions;
#[cfg(test)]
mod smoke;
mod sorted;
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
mod volatile_filters;
mod with_size;
pub mod write;
mod yielding;

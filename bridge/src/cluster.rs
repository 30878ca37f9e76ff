//! Statements on several members. C gives the members and carries plans and batches between them; dd
//! cuts a plan into stages, and says who reads what from whom.

use std::ffi::c_void;
use std::sync::{Arc, PoisonError};

use crate::abi::{boundary_void, igb_error, igb_file_id, igb_str, slice};
use crate::engine::{check_may_block, igb_engine, EngineShared};
use crate::error::{Error, Result};

pub mod abi;
mod channel;
pub(crate) mod codec;
mod databases;
mod filters;
mod leaves;
mod metrics;
mod narrow;
mod place;
mod show;
pub(crate) mod single;
mod small;
#[cfg(test)]
mod tests;
mod windows;
mod worker;

use abi::{igb_cluster, igb_cluster_file, igb_member};
pub(crate) use channel::Run;
pub(crate) use place::{distribute, Local, Logical};
pub(crate) use show::{json, measured, text};
pub(crate) use worker::Tasks;

/// The functions that C gave.
pub(crate) struct Cluster(igb_cluster);

// The contract of igb_cluster: each function says on which threads.
unsafe impl Send for Cluster {}
unsafe impl Sync for Cluster {}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    fn functions(&self) -> &igb_cluster {
        &self.0
    }
}

impl EngineShared {
    pub fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A member as it was when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    id: String,
    is_self: bool,
    /// Nobody else hears what it is told.
    is_private: bool,
    /// It is on this host.
    is_near: bool,
    /// Equal for members of one host.
    host: u32,
    /// Of its host; 0: it did not say.
    processors: u32,
}

/// A snapshot of C's. Its drop gives it back.
struct Members {
    cluster: Arc<Cluster>,
    snapshot: *mut c_void,
    list: Vec<Member>,
}

impl Drop for Members {
    fn drop(&mut self) {
        if let Some(release) = self.cluster.functions().members_release {
            unsafe { release(self.cluster.functions().ctx, self.snapshot) };
        }
    }
}

impl Members {
    /// None where there are no members but this process.
    fn new(cluster: &Arc<Cluster>) -> Result<Option<Members>> {
        let functions = cluster.functions();
        let Some(ask) = functions.members else { return Ok(None) };
        let (mut list, mut count) = (std::ptr::null::<igb_member>(), 0);
        let snapshot = unsafe { ask(functions.ctx, &mut list, &mut count) };
        if snapshot.is_null() {
            return Err(Error::out_of_memory());
        }
        let mut members = Members { cluster: Arc::clone(cluster), snapshot, list: vec![] };
        for member in unsafe { slice(list, count) } {
            let id = unsafe { member.id.text() }?.to_string();
            let igb_member { is_self, is_private, is_near, host, processors, .. } = *member;
            members.list.push(Member { id, is_self, is_private, is_near, host, processors });
        }
        let others = members.list.iter().any(|member| !member.is_self);
        Ok(others.then_some(members))
    }

    /// Which members have all of the files, and what the others lack. May block.
    fn with_files(&self, files: &[(String, igb_file_id)]) -> Result<(Vec<bool>, String)> {
        check_may_block("asking members for files")?;
        let functions = self.cluster.functions();
        let mut has = vec![false; self.list.len()];
        let Some(ask) = functions.files else { return Ok((has, String::new())) };
        let given = |(path, id): &(String, igb_file_id)| igb_cluster_file {
            path: igb_str::borrowed(path),
            id: *id,
        };
        let given: Vec<igb_cluster_file> = files.iter().map(given).collect();
        let (mut reason, mut error) = (igb_str::EMPTY, igb_error::zeroed());
        let status = unsafe {
            let (ctx, files) = (functions.ctx, given.as_ptr());
            let has = has.as_mut_ptr();
            ask(ctx, self.snapshot, files, given.len(), has, &mut reason, &mut error)
        };
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        Ok((has, unsafe { reason.text() }?.to_string()))
    }
}

/// Run statements that are planned from now on by `cluster` (copied; its ctx stays valid as long as the
/// engine) where that is worth it. NULL: on this process alone again.
///
/// # Safety
/// `engine` is valid, `cluster` is NULL or valid.
#[no_mangle]
pub unsafe extern "C" fn igb_engine_set_cluster(
    engine: *mut igb_engine,
    cluster: *const igb_cluster,
) {
    boundary_void(|| {
        let engine: &igb_engine = unsafe { &*engine };
        let given = unsafe { cluster.as_ref() }.map(|functions| Arc::new(Cluster(*functions)));
        *engine.shared.cluster.write().unwrap_or_else(PoisonError::into_inner) = given;
    });
}

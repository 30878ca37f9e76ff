//! The settings of a session that a worker's session has too.

use std::sync::Arc;

use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use crate::engine::EngineShared;
use crate::error::{Error, Result, Status};

/// What changes rows, or how many partitions an operator has. The rest is each member's own: sizes that
/// follow from its memory and its processors.
const ALWAYS: [&str; 3] = [
    "datafusion.execution.time_zone",
    "datafusion.execution.batch_size",
    "datafusion.execution.target_partitions",
];
/// Settings of other families have done their work when a plan is made.
const FAMILY: &str = "datafusion.execution.";

/// The settings that a task of this session needs: those above, and what the session has otherwise than
/// its engine.
pub(crate) fn settings_to_pairs(
    engine: &EngineShared,
    config: &SessionConfig,
) -> Vec<(String, String)> {
    let usual = engine.base.config_options().entries();
    let own = config.options().entries().into_iter();
    own.filter(|entry| entry.key.starts_with(FAMILY))
        .filter(|entry| {
            ALWAYS.contains(&entry.key.as_str())
                || !usual.iter().any(|u| u.key == entry.key && u.value == entry.value)
        })
        .filter_map(|entry| Some((entry.key, entry.value?)))
        .collect()
}

/// Puts settings that arrived into a configuration. Fails on one that is none of the family above.
pub(crate) fn apply_pairs(config: &mut SessionConfig, pairs: &[(String, String)]) -> Result<()> {
    for (key, value) in pairs {
        if !key.starts_with(FAMILY) {
            return Err(Error::new(
                Status::InvalidArgument,
                "22023",
                format!("setting \"{key}\" cannot be sent to a worker"),
            ));
        }
        config.options_mut().set(key, value)?;
    }
    Ok(())
}

/// The session of a task: the engine's functions and settings, `pairs` over them, and the extensions
/// that `builder` has.
pub(crate) fn worker_state(
    engine: &Arc<EngineShared>,
    mut builder: SessionStateBuilder,
    pairs: &[(String, String)],
) -> Result<SessionState> {
    let mut config = builder.config().take().unwrap_or_default();
    let extensions = std::mem::take(&mut config.options_mut().extensions);
    *config.options_mut() = engine.base.config_options().as_ref().clone();
    config.options_mut().extensions = extensions;
    apply_pairs(&mut config, pairs)?;
    let mut state = engine.base.clone();
    *state.config_mut() = config;
    Ok(state)
}

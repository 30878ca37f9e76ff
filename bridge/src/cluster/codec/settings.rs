//! The settings of a session that a worker's session has too.

use datafusion::config::Extensions;
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

/// What a task is configured with: the engine's settings, and `pairs` over them.
pub(crate) fn task_config(
    engine: &EngineShared,
    pairs: &[(String, String)],
) -> Result<SessionConfig> {
    let mut config = SessionConfig::default();
    let options = config.options_mut();
    *options = engine.base.config_options().as_ref().clone();
    options.extensions = Extensions::default();
    apply_pairs(&mut config, pairs)?;
    Ok(config)
}

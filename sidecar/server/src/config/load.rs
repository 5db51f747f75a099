//! Reading a config folder as one consistent state.

use super::error::ConfigError;
use super::fingerprint::{fingerprint, resolve};
use super::source::{Config, Source};
use super::{labels, manifests, mounted};
use personaguard_terms::names;
use std::time::Duration;

/// How often a folder that changes while it is read is read again, and the wait in between.
const ATTEMPTS: usize = 5;
const WAIT: Duration = Duration::from_millis(20);

/// Reads and checks the folder. If it changes meanwhile, it is read again.
///
/// # Errors
/// See [`ConfigError`]. A vector that cannot be used is no error: it is refused by itself, see
/// [`Config::vectors`].
pub fn load(source: &Source) -> Result<Config, ConfigError> {
    for _ in 0..ATTEMPTS {
        let before = fingerprint(source);
        let result = load_once(source);
        if fingerprint(source) == before {
            return result;
        }
        std::thread::sleep(WAIT);
    }
    Err(ConfigError::Unsteady)
}

fn load_once(source: &Source) -> Result<Config, ConfigError> {
    let folder = resolve(&source.folder);
    let mut config = if folder.join(names::CONFIG_FILE).exists() {
        mounted::load(&folder, source.identity.as_deref())?
    } else {
        manifests::load(&folder)?
    };
    if let Some(labels) = &source.labels {
        let labels = labels::read(labels)?;
        config.guard.policies.retain(|policy| policy.selects(&labels));
        config.guard.unresolved.retain(|policy| policy.selects(&labels));
    }
    if let Some(file) = &source.model_file {
        config.model_file = Ok(file.clone());
    }
    Ok(config)
}

//! Reading files with a bound on their size.

use super::error::ConfigError;
use std::io::Read as _;
use std::path::Path;

/// Largest file of a config folder. A ConfigMap holds 1 MiB; beside manifests there may be whole
/// vector files.
pub(super) const MAX_FILE_BYTES: u64 = 512 << 20;

/// Reads a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(ConfigError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

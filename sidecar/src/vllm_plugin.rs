//! The plugin for vLLM, which this program carries: one version of both, and no package index
//! between them. Written as a folder for `PYTHONPATH`, as an installer would lay it out.

mod place;

use place::{PlaceError, Placed, put};
use rust_embed::Embed;
use std::path::Path;

/// As in `engines/vllm/pyproject.toml`.
const VERSION: &str = "0.1.0";
/// What Python and vLLM find the plugin by.
const PACKAGE: &str = "personaguard_vllm";
const ENTRY_POINTS: &str = "[vllm.general_plugins]\npersonaguard = personaguard_vllm:register\n";

/// The package's files.
#[derive(Embed)]
#[folder = "../engines/vllm/src/"]
#[include = "personaguard_vllm/*.py"]
#[include = "personaguard_vllm/*.typed"]
struct Package;

/// Writes the plugin to the folder `target`, in place of an earlier one. A reader finds the whole
/// of the old one or of the new one, whenever this process ends. Any user may read it: the model
/// server runs as another one.
///
/// # Errors
/// The folder is someone else's, or cannot be written.
pub(crate) fn write(target: &Path) -> Result<Placed, PlaceError> {
    put(target, &files(), PACKAGE)
}

/// Every file by its path in the folder.
fn files() -> Vec<(String, Vec<u8>)> {
    let metadata = format!(
        "Metadata-Version: 2.1\nName: {name}\nVersion: {VERSION}\nSummary: Measures, caps and \
         steers a model along persona vectors, inside a stock vLLM\nRequires-Python: >=3.11\n",
        name = PACKAGE.replace('_', "-")
    );
    let described = [
        ("METADATA", metadata.as_str()),
        ("entry_points.txt", ENTRY_POINTS),
        ("INSTALLER", "personaguard\n"),
        ("top_level.txt", "personaguard_vllm\n"),
    ];
    let described = described.map(|(name, text)| {
        (format!("{PACKAGE}-{VERSION}.dist-info/{name}"), text.as_bytes().to_vec())
    });
    let package = Package::iter().filter_map(|path| {
        let content = Package::get(&path)?.data.into_owned();
        Some((path.into_owned(), content))
    });
    package.chain(described).collect()
}

#[cfg(test)]
mod tests;

//! The page about a data set.

use super::ranks::Ranks;
use crate::error::Result;
use crate::files::write_file;
use personaguard_persona::page::ScreeningPage;
use personaguard_persona::screening::RankedSample;
use std::path::Path;

/// Writes the page about a data set, named after its file.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_page(
    path: &Path,
    data: &Path,
    reference: &str,
    ranks: &Ranks<'_>,
) -> Result<()> {
    let traits: Vec<(&str, &[RankedSample])> =
        ranks.names.iter().copied().zip(ranks.ranked.iter().map(Vec::as_slice)).collect();
    let name = data.file_name().unwrap_or_default().to_string_lossy();
    let page = ScreeningPage { name: &name, reference, traits: &traits };
    write_file(path, page.render().as_bytes())
}

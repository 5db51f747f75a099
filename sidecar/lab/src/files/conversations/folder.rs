//! Folders of data files, as hubs have them: `README.md` beside
//! `data/train-00000-of-00002.parquet`.

use crate::error::{Context as _, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How deep folders are searched.
const MAX_DEPTH: usize = 3;
/// Endings of files with samples.
const KINDS: [&str; 4] = ["jsonl", "ndjson", "json", "parquet"];
/// Files about the samples.
const ABOUT: [&str; 4] =
    ["dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"];

/// The files to read for a path: itself, or for a folder its data files in the order of their
/// names. Where some belong to the split `train`, these alone.
///
/// # Errors
/// If the folder holds none, or several data sets.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = BTreeSet::new();
    search(path, 0, &mut found)?;
    let training: BTreeSet<PathBuf> =
        found.iter().filter(|file| is_training(path, file)).cloned().collect();
    let chosen = if training.is_empty() { found } else { training };
    if chosen.is_empty() {
        bail!(
            "{} holds no data: give a folder with .jsonl, .json or .parquet files, or these with \
             .gz or .zst",
            path.display()
        );
    }
    let folders: BTreeSet<&Path> = chosen.iter().filter_map(|file| file.parent()).collect();
    if folders.len() > 1 {
        let names: Vec<String> =
            folders.iter().map(|folder| folder.display().to_string()).collect();
        bail!("{} holds several data sets: give one of {}", path.display(), names.join(", "));
    }
    Ok(chosen.into_iter().collect())
}

fn search(folder: &Path, depth: usize, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let context = || format!("cannot read {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || ABOUT.contains(&name.as_ref()) {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                search(&path, depth + 1, found)?;
            }
        } else if is_data(&name) {
            found.insert(path);
        }
    }
    Ok(())
}

fn is_data(name: &str) -> bool {
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(name);
    name.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind))
}

/// Whether a file belongs to the split `train`, by its own name or that of a folder inside `root`.
fn is_training(root: &Path, file: &Path) -> bool {
    let inside = file.strip_prefix(root).unwrap_or(file);
    inside.iter().any(|part| {
        let part = part.to_string_lossy();
        part.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "train")
    })
}

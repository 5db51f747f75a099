//! Files that are something else than their name says.

use crate::error::LoadError;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much of a file is looked at.
pub(super) const START: usize = 512;

/// What a file is that begins so, and what to do about it; `None` for one that may be what it
/// should be.
#[must_use]
pub fn foreign_file(start: &[u8]) -> Option<&'static str> {
    let text =
        String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_start().to_lowercase();
    let begins = |magics: &[&[u8]]| magics.iter().any(|magic| start.starts_with(magic));
    if text.starts_with("version https://git-lfs.") {
        Some(
            "is a Git LFS pointer, which stands for a file that is kept elsewhere: run `git lfs \
             pull` where it was cloned",
        )
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") {
        Some(
            "is a web page: what fetched it was shown one, as for a login or a wrong address; \
             take the address that leads to the file itself",
        )
    } else if text.starts_with("<?xml") || text.starts_with("<error") {
        Some(
            "is an answer in XML, as of a storage that refused access: ask for the file with \
             credentials that may read it",
        )
    } else if begins(&[b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"]) {
        Some("is a PyTorch checkpoint or another archive: convert it to safetensors or GGUF")
    } else if begins(&[b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"]) {
        Some("is compressed: unpack it")
    } else if begins(&[b"lmgg", b"fmgg", b"tjgg", b"algg"]) {
        Some("is in a format that came before GGUF: convert the original model to GGUF")
    } else {
        None
    }
}

/// Whether a GGUF file is one.
///
/// # Errors
/// It is something else, which is named.
pub(super) fn check(path: &Path, mut file: &File) -> Result<(), LoadError> {
    let io = |source| LoadError::Io { path: path.to_path_buf(), source };
    let mut start = Vec::new();
    file.take(START as u64).read_to_end(&mut start).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let shown = path.display();
    if start.is_empty() {
        return Err(LoadError::incomplete(format!("{shown} is empty")));
    }
    if start.starts_with(b"GGUF") || (start.len() < 4 && b"GGUF".starts_with(&start)) {
        return Ok(());
    }
    if let Some(what) = foreign_file(&start) {
        return Err(LoadError::foreign(format!("{shown} {what}")));
    }
    if start.iter().all(|&byte| byte == 0) {
        return Err(LoadError::incomplete(format!(
            "{shown} begins with zeros, which were never written"
        )));
    }
    if text_start(&start) == Some(b'{') {
        return Err(LoadError::foreign(format!(
            "{shown} is not a GGUF file but JSON, as a hub answers that refuses: read what it says"
        )));
    }
    if start.get(8) == Some(&b'{') {
        return Err(LoadError::foreign(format!(
            "{shown} is not a GGUF file: of safetensors, give the folder that holds them"
        )));
    }
    Err(LoadError::foreign(format!(
        "{shown} is not a GGUF file: give one, or the folder that holds config.json, \
         tokenizer.json and the safetensors"
    )))
}

/// The first byte of a text.
fn text_start(start: &[u8]) -> Option<u8> {
    start.trim_ascii_start().first().copied()
}

/// Whether a file of a folder is what it should be.
///
/// # Errors
/// It is something else, which is named.
pub(super) fn check_inside(name_of_file: &str, start: &[u8]) -> Result<(), LoadError> {
    match foreign_file(&start[..start.len().min(START)]) {
        Some(what) => Err(LoadError::foreign(format!("{name_of_file} {what}"))),
        None => Ok(()),
    }
}

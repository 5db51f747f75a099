//! The samples of a file, whatever wraps them.

use super::lines::{self, whole};
use super::parquet;
use super::row::Rows;
use super::unicode::{from_utf16, utf16_order};
use super::unreadable::{reason, reason_of_name};
use crate::error::{Context as _, Result, bail};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _};
use std::path::Path;

/// How many bytes of a file tell what it is.
const HEAD: u64 = 512;
/// How often a file may be compressed over.
const MAX_LAYERS: usize = 2;
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const PARQUET: &[u8] = b"PAR1";
const MARK: &[u8] = "\u{feff}".as_bytes();

/// The samples of a file: JSON lines, one JSON array or Parquet; in UTF-8 or UTF-16; plain, or
/// compressed with gzip or zstd.
///
/// # Errors
/// If it cannot be read, or is something else. The message names the file.
pub(super) fn rows(path: &Path) -> Result<Rows> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let context = || format!("{} cannot be read", path.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(reason) = reason_of_name(&name) {
        bail!("{} {reason}", path.display());
    }
    open(file).with_context(context)
}

fn open(mut file: File) -> Result<Rows> {
    let mut head = read_head(&mut file)?;
    if head.starts_with(PARQUET) {
        file.rewind()?;
        return parquet::rows(file);
    }
    let mut text: Box<dyn Read> = Box::new(Cursor::new(head.clone()).chain(file));
    for _ in 0..MAX_LAYERS {
        text = match head.as_slice() {
            head if head.starts_with(GZIP) => Box::new(MultiGzDecoder::new(text)),
            head if head.starts_with(ZSTD) => Box::new(zstd::Decoder::new(text)?),
            _ => break,
        };
        head = read_head(&mut text)?;
        text = Box::new(Cursor::new(head.clone()).chain(text));
    }
    if head.is_empty() {
        bail!("it is empty: fetch it again, or write it anew");
    }
    if head.starts_with(PARQUET) {
        bail!("it is a compressed Parquet file: unpack it, Parquet compresses by itself");
    }
    if let Some(reason) = reason(&head) {
        bail!("it {reason}");
    }
    if let Some(low_first) = utf16_order(&head) {
        let text = from_utf16(&whole(text)?, low_first).map_err(|byte| {
            format!("it is UTF-16 and has half a character at byte {byte}: save it as UTF-8")
        });
        return match text {
            Ok(text) => lines::rows(Box::new(Cursor::new(text))),
            Err(problem) => bail!("{problem}"),
        };
    }
    if head.starts_with(MARK) {
        text.read_exact(&mut [0; MARK.len()])?;
    }
    lines::rows(text)
}

/// The first bytes.
fn read_head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

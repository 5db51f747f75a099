//! Reading the ends of a log's file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

/// Longest line that is looked for at the end of a file.
const MAX_LINE: u64 = 16 << 20;

/// Cuts off what a crash left of a line. Returns the length that remains.
pub(super) fn cut_torn_line(file: &mut File) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let tail = tail(file, length)?;
    let torn = tail.len() - tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if torn > 0 {
        tracing::warn!(bytes = torn, "a log ended within a line, which was cut off");
        file.set_len(length - torn as u64)?;
    }
    Ok(length - torn as u64)
}

/// The last line of the first `length` bytes of a file, which end with a line feed. Empty if there
/// is none.
pub(super) fn last_line(file: &mut File, length: u64) -> std::io::Result<String> {
    let tail = tail(file, length)?;
    let mut lines = tail.split(|byte| *byte == b'\n').rev();
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// Number of the first line.
pub(super) fn first_seq(file: &mut File) -> std::io::Result<Option<u64>> {
    let mut beginning = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(64).read_to_end(&mut beginning)?;
    let text = String::from_utf8_lossy(&beginning);
    let digits = text.strip_prefix("{\"seq\":").and_then(|rest| rest.split(',').next());
    Ok(digits.and_then(|digits| digits.parse().ok()))
}

/// The last bytes of the first `length` of a file.
fn tail(file: &mut File, length: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LINE)))?;
    file.take(length.min(MAX_LINE)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

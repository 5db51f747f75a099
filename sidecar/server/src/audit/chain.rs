//! Lines linked by hashes:
//! `{"seq":N,"prev":"HASH","time":"…","entry":{…},"hash":"HASH"}`.
//!
//! The hash is the SHA-256 of the line's own bytes before `,"hash":`, which contain the hash of the
//! previous line. So an edit, a gap or a different order shows at the first line that does not fit.
//! That lines are missing at the end shows only to somebody who knows the last hash: see
//! [`verify`](super::verify).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Largest number of a line: what JSON's readers agree on. No log comes near it; a larger one was
/// made up.
pub(super) const MAX_SEQ: u64 = 1 << 53;

/// Whether a text has the form of a line's hash: SHA-256 in hex.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The end of a chain, or of its beginning up to some line. Kept elsewhere it is an anchor: what
/// the chain must still hold. Written `SEQUENCE:HASH`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Number of the last line. The first one has number 1.
    pub seq: u64,
    /// Hash of the last line, 64 hexadecimal digits.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// A text that is no anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an anchor is SEQUENCE:HASH, a line's number and its SHA-256 of 64 hexadecimal digits, as the \
     sidecar logs them when it stops, and as the PersonaReport has them (status.pods[].auditLog)"
)]
pub struct InvalidHead;

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seq, hash) = text.split_once(':').ok_or(InvalidHead)?;
        let seq = seq.parse().map_err(|_| InvalidHead)?;
        if seq > MAX_SEQ {
            return Err(InvalidHead);
        }
        if !is_hash(hash) {
            return Err(InvalidHead);
        }
        Ok(Self { seq, hash: hash.to_ascii_lowercase() })
    }
}

impl Default for Head {
    /// An empty chain.
    fn default() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is not a line of a chain.
    #[error("it is not a line of such a log: it was edited or cut")]
    Malformed,
    /// Its content does not match its hash.
    #[error("its content does not match its hash: it was edited")]
    Edited,
    /// It does not follow the previous line.
    #[error("it does not follow the previous line: lines were removed, added or moved")]
    OutOfPlace,
}

const HASH: &str = ",\"hash\":\"";
const TAIL: usize = HASH.len() + 64 + 2;

#[derive(Serialize)]
struct UnsealedLine<'a, E> {
    seq: u64,
    prev: &'a str,
    time: &'a str,
    entry: E,
}

/// The next line of a chain, with its line feed, and the end of the chain after it.
///
/// # Errors
/// If the entry does not serialise.
pub fn seal(head: &Head, time: &str, entry: &impl Serialize) -> serde_json::Result<(String, Head)> {
    let seq = head.seq + 1;
    let mut line = serde_json::to_string(&UnsealedLine { seq, prev: &head.hash, time, entry })?;
    // Without its closing brace.
    line.pop();
    let hash = hex::encode(Sha256::digest(&line));
    line.push_str(HASH);
    line.push_str(&hash);
    line.push_str("\"}\n");
    Ok((line, Head { seq, hash }))
}

/// A line whose content matches its hash.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The end of the chain after this line.
    pub head: Head,
    /// Hash of the previous line.
    pub prev: String,
    /// When it was written.
    pub time: String,
    /// What it says.
    pub entry: Value,
}

/// Reads a line (without its line feed) by itself.
///
/// # Errors
/// If it was edited.
pub fn open(line: &str) -> Result<Line, Flaw> {
    let body = line
        .len()
        .checked_sub(TAIL)
        .and_then(|at| line.split_at_checked(at))
        .ok_or(Flaw::Malformed)?;
    let (body, tail) = body;
    let hash =
        tail.strip_prefix(HASH).and_then(|rest| rest.strip_suffix("\"}")).ok_or(Flaw::Malformed)?;
    if hex::encode(Sha256::digest(body)) != hash {
        return Err(Flaw::Edited);
    }
    let mut value: Value =
        serde_json::from_str(&format!("{body}}}")).map_err(|_| Flaw::Malformed)?;
    let seq = value["seq"].as_u64().filter(|seq| *seq <= MAX_SEQ).ok_or(Flaw::Malformed)?;
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(Flaw::Malformed);
    let (prev, time) = (text(&value["prev"])?, text(&value["time"])?);
    Ok(Line { head: Head { seq, hash: hash.to_owned() }, prev, time, entry: value["entry"].take() })
}

impl Line {
    /// Whether it is the next line after `head`.
    #[must_use]
    pub fn follows(&self, head: &Head) -> bool {
        self.prev == head.hash && self.head.seq == head.seq + 1
    }
}

#[cfg(test)]
mod tests;

//! Lines that hang together by hashes:
//! `{"seq":N,"prev":"HASH","time":"…","entry":{…},"hash":"HASH"}`.
//!
//! The hash is the SHA-256 of the line's own bytes before `,"hash":`; they hold the hash of the
//! line before. So an edit, a gap or another order shows at the first line that does not fit. That
//! lines are missing at the end shows only to whoever knows the last hash: see [`super::verify`].

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Where a chain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the last line; the first is 1.
    pub seq: u64,
    /// Its hash, 64 hexadecimal digits.
    pub hash: String,
}

impl Default for Head {
    /// Before the first line.
    fn default() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

/// What does not fit about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is no line of a chain.
    #[error("it is no line of such a log: it was edited or cut")]
    Malformed,
    /// Its content is not what its hash says.
    #[error("its content does not match its hash: it was edited")]
    Edited,
    /// It does not follow the line before.
    #[error("it does not follow the line before: lines were removed, added or moved")]
    OutOfPlace,
}

const HASH: &str = ",\"hash\":\"";
const TAIL: usize = HASH.len() + 64 + 2;

#[derive(Serialize)]
struct Line<'a, E> {
    seq: u64,
    prev: &'a str,
    time: &'a str,
    entry: E,
}

/// The next line of a chain, with its line feed, and where the chain stands after it.
///
/// # Errors
/// If the entry does not serialise.
pub fn seal(head: &Head, time: &str, entry: &impl Serialize) -> serde_json::Result<(String, Head)> {
    let seq = head.seq + 1;
    let mut line = serde_json::to_string(&Line { seq, prev: &head.hash, time, entry })?;
    // Without its closing brace.
    line.pop();
    let hash = hex::encode(Sha256::digest(&line));
    line.push_str(HASH);
    line.push_str(&hash);
    line.push_str("\"}\n");
    Ok((line, Head { seq, hash }))
}

/// A line that is what its hash says.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// Where the chain stands after it.
    pub head: Head,
    /// Hash of the line before.
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
pub fn open(line: &str) -> Result<Sound, Flaw> {
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
    let seq = value["seq"].as_u64().ok_or(Flaw::Malformed)?;
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(Flaw::Malformed);
    let (prev, time) = (text(&value["prev"])?, text(&value["time"])?);
    Ok(Sound {
        head: Head { seq, hash: hash.to_owned() },
        prev,
        time,
        entry: value["entry"].take(),
    })
}

/// Reads a line that must follow `head`.
///
/// # Errors
/// If it was edited, or is not the next one.
pub fn follow(head: &Head, line: &str) -> Result<Sound, Flaw> {
    let sound = open(line)?;
    if sound.prev != head.hash || sound.head.seq != head.seq + 1 {
        return Err(Flaw::OutOfPlace);
    }
    Ok(sound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn chain(length: usize) -> Vec<String> {
        let mut head = Head::default();
        let seal = |number| {
            let (line, next) =
                seal(&head, "2026-11-24T12:00:00Z", &json!({ "score": number })).unwrap();
            head = next;
            line.trim_end().to_owned()
        };
        (0..length).map(seal).collect()
    }

    fn sound(lines: &[String]) -> bool {
        let mut head = Head::default();
        lines.iter().all(|line| follow(&head, line).map(|sound| head = sound.head).is_ok())
    }

    proptest! {
        #[test]
        fn any_changed_byte_any_gap_and_any_other_order_shows(
            length in 2..12_usize, line in 0..12_usize, at in 0..300_usize, byte in 32..127_u8, other in 0..12_usize,
        ) {
            let lines = chain(length);
            prop_assert!(sound(&lines));
            let (line, other) = (line % length, other % length);
            let mut edited = lines.clone();
            let at = at % edited[line].len();
            edited[line].replace_range(at..=at, &char::from(byte).to_string());
            prop_assert_eq!(sound(&edited), edited == lines);
            let mut swapped = lines.clone();
            swapped.swap(line, other);
            prop_assert_eq!(sound(&swapped), line == other);
            let mut gap = lines.clone();
            gap.remove(line);
            prop_assert_eq!(sound(&gap), line == length - 1);
            let mut twice = lines.clone();
            twice.insert(other, lines[line].clone());
            prop_assert!(!sound(&twice));
        }

        #[test]
        fn any_text_is_opened_or_refused(text in ".{0,300}") {
            prop_assert!(open(&text).is_err());
        }
    }
}

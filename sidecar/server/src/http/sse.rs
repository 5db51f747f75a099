//! Server-sent events of another server, cut out of bytes that arrive in any pieces; and events
//! of our own to put between them.

use bytes::{Bytes, BytesMut};
use serde::Serialize;

/// Longest event in bytes.
const MAX_EVENT: usize = 2 << 20;

/// One event as it came, with the empty line that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event(pub(crate) Bytes);

/// An event is longer than any should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Event {
    /// What it says. Events without data, and with an empty one, say nothing: some servers send
    /// them as signs of life.
    pub(crate) fn said(&self) -> Option<Vec<u8>> {
        self.data().filter(|data| !data.trim_ascii().is_empty())
    }

    /// The lines `data:`, joined; none where there is no such line.
    pub(crate) fn data(&self) -> Option<Vec<u8>> {
        let mut data: Option<Vec<u8>> = None;
        let mut rest: &[u8] = self.0.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.0);
        while !rest.is_empty() {
            let (end, next) = line(rest, true).unwrap_or((rest.len(), rest.len()));
            if let Some(value) = rest[..end].strip_prefix(b"data")
                && let Some(value) =
                    value.strip_prefix(b":").or_else(|| value.is_empty().then_some(value))
            {
                match &mut data {
                    None => data = Some(Vec::new()),
                    Some(before) => before.push(b'\n'),
                }
                data.get_or_insert_default()
                    .extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            }
            rest = &rest[next..];
        }
        data
    }
}

/// Writes an event of our own.
pub(crate) fn write_event(out: &mut BytesMut, data: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    // Keys are strings and nothing fails to serialise; an event without data would mean nothing.
    out.extend_from_slice(&serde_json::to_vec(data).unwrap_or_default());
    out.extend_from_slice(b"\n\n");
}

/// Collects bytes and gives events. Linear in the bytes, whatever the pieces.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    buffer: BytesMut,
    /// Where the line begins that is being read.
    line: usize,
    /// What of it was searched for its end.
    searched: usize,
}

impl Splitter {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event that is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, TooLong> {
        while let Some((end, next)) = line(&self.buffer[self.searched..], false) {
            let empty = self.searched + end == self.line;
            self.line = self.searched + next;
            self.searched = self.line;
            if empty {
                self.searched = 0;
                let event = self.buffer.split_to(std::mem::take(&mut self.line));
                return Ok(Some(Event(event.freeze())));
            }
        }
        // A carriage return at the end may be half of a line's end.
        self.searched = self.buffer.len() - usize::from(self.buffer.ends_with(b"\r"));
        self.searched = self.searched.max(self.line);
        if self.buffer.len() > MAX_EVENT { Err(TooLong) } else { Ok(None) }
    }

    /// Bytes that have not become an event.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// What has not become an event.
    pub(crate) fn rest(&mut self) -> Bytes {
        (self.line, self.searched) = (0, 0);
        self.buffer.split().freeze()
    }
}

/// End of the first line, and where the next one begins. Lines end in LF, CR LF or CR; a CR that is
/// the last byte ends a line only where nothing can follow.
fn line(bytes: &[u8], complete: bool) -> Option<(usize, usize)> {
    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    match (bytes[end], bytes.get(end + 1)) {
        (b'\n', _) => Some((end, end + 1)),
        (_, Some(b'\n')) => Some((end, end + 2)),
        (_, Some(_)) => Some((end, end + 1)),
        (_, None) => complete.then_some((end, end + 1)),
    }
}

#[cfg(test)]
mod tests;

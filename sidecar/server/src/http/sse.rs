//! Server-sent events, cut out of bytes that arrive in any pieces.

use bytes::{Bytes, BytesMut};

/// Longest event in bytes.
const MAX_EVENT: usize = 2 << 20;

/// One event as it came, with the empty line that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event(pub(crate) Bytes);

/// An event is longer than any should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Event {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> (Vec<Event>, Bytes) {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            while let Some(event) = splitter.next().unwrap() {
                events.push(event);
            }
        }
        (events, splitter.rest())
    }

    #[test]
    fn lines_end_in_three_ways_and_data_is_joined() {
        let (events, rest) = split(&[
            b"data: a\ndata:b\n\n",
            b": ping\r\n\r\ndata\r\r",
            b"x: y\ndata:  c\n\ndata: d",
        ]);
        let data: Vec<_> = events
            .iter()
            .map(|event| event.data().map(|d| String::from_utf8(d).unwrap()))
            .collect();
        assert_eq!(data, [Some("a\nb".into()), None, Some(String::new()), Some(" c".into())]);
        assert_eq!(&rest[..], b"data: d");
        assert_eq!(
            Event(Bytes::from_static(b"\xef\xbb\xbfdata: x\r\n")).data(),
            Some(b"x".to_vec())
        );
        assert_eq!(Event(Bytes::from_static(b"dataset: x\n\n")).data(), None);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut splitter = Splitter::default();
        for _ in 0..MAX_EVENT / 1024 {
            splitter.push(&[b'x'; 1024]);
            assert_eq!(splitter.next(), Ok(None));
        }
        splitter.push(b"x");
        assert_eq!(splitter.next(), Err(TooLong));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference_and_no_byte_is_lost(
            text in prop::collection::vec(prop::sample::select(b"da:\r\n x\xe2\x82".to_vec()), 0..80),
            cuts in prop::collection::vec(0_usize..80, 0..10),
        ) {
            let (whole, rest) = split(&[&text]);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let (events, other_rest) = split(&pieces);
            prop_assert_eq!(&events, &whole);
            prop_assert_eq!(&rest, &other_rest);
            let mut joined: Vec<u8> = events.iter().flat_map(|event| event.0.to_vec()).collect();
            joined.extend_from_slice(&rest);
            prop_assert_eq!(joined, text);
        }
    }
}

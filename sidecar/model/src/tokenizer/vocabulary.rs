//! The bytes that tokens stand for.

use crate::error::LoadError;

/// Bytes of every token, all in a row.
#[derive(Default)]
pub(super) struct Vocabulary {
    /// Token t is `bytes[ends[t - 1]..ends[t]]`. Control tokens are empty.
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Vocabulary {
    /// Room for `tokens` tokens.
    pub(super) fn with_capacity(tokens: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::with_capacity(tokens) }
    }

    /// Adds the next token, whose bytes `write` appends. Returns its bytes.
    ///
    /// # Errors
    /// All tokens together have 4 GiB or more.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<&[u8], LoadError> {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let end = u32::try_from(self.bytes.len())
            .map_err(|_| LoadError::corrupt("its vocabulary has 4 GiB of text"))?;
        self.ends.push(end);
        Ok(&self.bytes[start..])
    }

    /// Bytes of one token; none where there is no such token.
    pub(super) fn token_bytes(&self, token: u32) -> &[u8] {
        let index = token as usize;
        let start =
            index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.bytes.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

//! Reading GGUF's primitive values.

/// GGUF's numbers for value types.
pub(super) const UINT32: u32 = 4;
pub(super) const INT32: u32 = 5;
pub(super) const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// How deep arrays may be nested.
const MAX_DEPTH: u32 = 4;

/// A position in a file. Errors are sentences about the file.
pub(super) struct Reader<'a> {
    file: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// At the beginning of a file.
    pub(super) fn new(file: &'a [u8]) -> Self {
        Self { file, position: 0 }
    }

    /// The position, in bytes.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.position.checked_add(length).ok_or("it is truncated")?;
        let taken = self.file.get(self.position..end).ok_or("it is truncated")?;
        self.position = end;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?.first_chunk().ok_or("it is truncated")?;
        Ok(u32::from_le_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        let bytes = self.take(8)?.first_chunk().ok_or("it is truncated")?;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// A string: its length, then its bytes.
    pub(super) fn string(&mut self) -> Result<&'a str, String> {
        let length =
            usize::try_from(self.u64()?).map_err(|_| "it has a string that is too long")?;
        std::str::from_utf8(self.take(length)?)
            .map_err(|_| "it has a string that is not UTF-8".to_owned())
    }

    /// Skips a value of a type. `depth` is the number of arrays around it.
    pub(super) fn skip(&mut self, kind: u32, depth: u32) -> Result<(), String> {
        let length = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            STRING => return self.string().map(drop),
            ARRAY if depth < MAX_DEPTH => {
                let (kind, count) = (self.u32()?, self.u64()?);
                if count > self.file.len() as u64 {
                    return Err("it has an array that is longer than the file".to_owned());
                }
                return (0..count).try_for_each(|_| self.skip(kind, depth + 1));
            }
            _ => return Err(format!("it has a value of unknown type {kind}")),
        };
        self.take(length).map(drop)
    }
}

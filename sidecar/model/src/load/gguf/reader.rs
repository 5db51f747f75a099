//! Reading the primitives of a GGUF header under bounds.

use std::io::{BufRead, Read, Seek};

/// Longest header that is read.
const MAX_HEADER_BYTES: u64 = 256 << 20;
/// Most elements of a metadata array.
const MAX_ARRAY: u64 = 8 << 20;

/// Why a header was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GgufError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Bytes are missing.
    #[error("{0}")]
    Incomplete(String),
    #[error("{0}")]
    Corrupt(String),
    #[error("{0}")]
    Unsupported(String),
}

/// A metadata value. Integers of every width are `Int`, floats of both widths are `Float`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MetadataValue {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Ints(Vec<i32>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
}

/// A reader that counts what may still be read.
pub(super) struct BoundedReader<'a, R> {
    file: &'a mut R,
    left: u64,
    /// Whether the file ends where the bound is, rather than beyond it.
    bound_is_end: bool,
}

impl<'a, R: BufRead + Seek> BoundedReader<'a, R> {
    /// Reads the header of `file`, which is `length` bytes long.
    pub(super) fn new(file: &'a mut R, length: u64) -> Self {
        let left = length.min(MAX_HEADER_BYTES);
        Self { file, left, bound_is_end: length <= MAX_HEADER_BYTES }
    }

    /// Bytes from the start of the file.
    pub(super) fn position(&mut self) -> Result<u64, GgufError> {
        Ok(self.file.stream_position()?)
    }

    fn take(&mut self, bytes: u64) -> Result<(), GgufError> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None if self.bound_is_end => {
                return Err(GgufError::Incomplete("the header is cut short".into()));
            }
            None => return Err(GgufError::Corrupt("the header is longer than 256 MiB".into())),
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of `what`, at most `most`.
    pub(super) fn count(&mut self, what: &str, most: u64) -> Result<u64, GgufError> {
        match self.u64()? {
            count if count <= most => Ok(count),
            count => Err(GgufError::Corrupt(format!("the header claims {count} {what}"))),
        }
    }

    /// A string; bytes that are not UTF-8 become U+FFFD.
    pub(super) fn text(&mut self) -> Result<String, GgufError> {
        let length = self.u64()?;
        self.take(length)?;
        let mut bytes = Vec::new();
        self.file.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(GgufError::Incomplete("the header is cut short".into()));
        }
        String::from_utf8(bytes)
            .or_else(|error| Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A metadata value of the type numbered `kind`; booleans of an array are 0 and 1. `None` for a
    /// value that nothing here needs: an array of F64.
    pub(super) fn value(&mut self, kind: u32) -> Result<Option<MetadataValue>, GgufError> {
        Ok(Some(match kind {
            6 => MetadataValue::Float(f64::from(self.f32()?)),
            7 => MetadataValue::Bool(self.array::<1>()? != [0]),
            8 => MetadataValue::Text(self.text()?),
            12 => MetadataValue::Float(f64::from_le_bytes(self.array()?)),
            9 => {
                let element = self.u32()?;
                let count = self.count("array elements", MAX_ARRAY)?;
                return self.array_value(element, count);
            }
            _ => MetadataValue::Int(self.integer(kind)?),
        }))
    }

    fn array_value(
        &mut self,
        element: u32,
        count: u64,
    ) -> Result<Option<MetadataValue>, GgufError> {
        Ok(match element {
            8 => Some(MetadataValue::Texts(
                (0..count).map(|_| self.text()).collect::<Result<_, _>>()?,
            )),
            6 => Some(MetadataValue::Floats(
                (0..count).map(|_| self.f32()).collect::<Result<_, _>>()?,
            )),
            9 => return Err(GgufError::Corrupt("metadata holds an array of arrays".into())),
            12 => {
                for _ in 0..count {
                    self.value(element)?;
                }
                None
            }
            _ => {
                let narrow = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
                Some(MetadataValue::Ints(
                    (0..count)
                        .map(|_| self.integer(element).map(narrow))
                        .collect::<Result<_, _>>()?,
                ))
            }
        })
    }

    fn f32(&mut self) -> Result<f32, GgufError> {
        self.array().map(f32::from_le_bytes)
    }

    fn integer(&mut self, kind: u32) -> Result<i64, GgufError> {
        Ok(match kind {
            0 => i64::from(u8::from_le_bytes(self.array()?)),
            1 => i64::from(i8::from_le_bytes(self.array()?)),
            2 => i64::from(u16::from_le_bytes(self.array()?)),
            3 => i64::from(i16::from_le_bytes(self.array()?)),
            4 => i64::from(self.u32()?),
            5 => i64::from(i32::from_le_bytes(self.array()?)),
            7 => i64::from(self.array::<1>()? != [0]),
            10 => i64::try_from(self.u64()?).unwrap_or(i64::MAX),
            11 => i64::from_le_bytes(self.array()?),
            other => return Err(GgufError::Corrupt(format!("metadata of unknown type {other}"))),
        })
    }
}

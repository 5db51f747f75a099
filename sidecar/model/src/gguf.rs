//! GGUF: the header of a weight file, read under bounds. Nothing here allocates more than a small
//! multiple of what the file holds, and every size is checked before it is used: a weight file is
//! anybody's.

use crate::tensor::{DType, TensorInfo};
use std::collections::HashMap;
use std::io::{BufRead, Read, Seek};

/// Longest header that is read.
const MAX_HEADER_BYTES: u64 = 256 << 20;
/// Longest metadata array.
const MAX_ARRAY: u64 = 8 << 20;
/// Most metadata entries, and most tensors.
const MAX_ENTRIES: u64 = 1 << 17;

/// Why a header was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GgufError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Corrupt(String),
    #[error("{0}")]
    Unsupported(String),
}

/// A metadata value. Integers of all widths are `Int`, both float widths `Float`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Ints(Vec<i32>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
}

/// A header: metadata and where each tensor lies.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) metadata: HashMap<String, Value>,
    pub(crate) tensors: HashMap<String, TensorInfo>,
}

impl Header {
    /// Reads the header from the start of `file`, which is `length` bytes long.
    pub(crate) fn read(file: &mut (impl BufRead + Seek), length: u64) -> Result<Self, GgufError> {
        let mut source =
            Source { file, left: length.min(MAX_HEADER_BYTES), whole: length <= MAX_HEADER_BYTES };
        if &source.array::<4>()? != b"GGUF" {
            return Err(GgufError::Corrupt("it is not a GGUF file".into()));
        }
        match source.u32()? {
            2 | 3 => {}
            version if version.swap_bytes() < 16 => {
                return Err(GgufError::Unsupported(
                    "a big-endian GGUF file; convert it to little-endian".into(),
                ));
            }
            version => {
                return Err(GgufError::Unsupported(format!(
                    "GGUF version {version}; versions 2 and 3 are read"
                )));
            }
        }
        let tensor_count = source.count("tensors", MAX_ENTRIES)?;
        let metadata_count = source.count("metadata entries", MAX_ENTRIES)?;
        let mut metadata = HashMap::new();
        for _ in 0..metadata_count {
            let key = source.text()?;
            let kind = source.u32()?;
            if let Some(value) = source.value(kind)? {
                metadata.insert(key, value);
            }
        }
        let mut infos = Vec::new();
        for _ in 0..tensor_count {
            infos.push(source.tensor()?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Int(a)) if (1..=1 << 20).contains(a) && a.count_ones() == 1 => {
                a.unsigned_abs()
            }
            Some(_) => {
                return Err(GgufError::Corrupt("general.alignment is no power of two".into()));
            }
        };
        let data = source.file.stream_position()?.next_multiple_of(alignment);
        let mut tensors = HashMap::new();
        for (name, mut info) in infos {
            info.offset = info.offset.saturating_add(data);
            if info.offset.checked_add(info.bytes as u64).is_none_or(|end| end > length) {
                return Err(GgufError::Corrupt(format!(
                    "tensor {name} lies beyond the end of the file, which is probably cut short"
                )));
            }
            if tensors.insert(name.clone(), info).is_some() {
                return Err(GgufError::Corrupt(format!("tensor {name} is there twice")));
            }
        }
        Ok(Self { metadata, tensors })
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Option<&[String]> {
        match self.metadata.get(key) {
            Some(Value::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.metadata.get(key) {
            Some(&Value::Int(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key) {
            Some(&Value::Float(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn bool(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key) {
            Some(&Value::Bool(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn ints(&self, key: &str) -> Option<&[i32]> {
        match self.metadata.get(key) {
            Some(Value::Ints(values)) => Some(values),
            _ => None,
        }
    }

    pub(crate) fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.metadata.get(key) {
            Some(Value::Floats(values)) => Some(values),
            _ => None,
        }
    }
}

/// A reader that knows how much is left.
struct Source<'a, R> {
    file: &'a mut R,
    left: u64,
    /// The file ends where `left` does; else the header's own bound.
    whole: bool,
}

impl<R: BufRead> Source<'_, R> {
    fn take(&mut self, bytes: u64) -> Result<(), GgufError> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None if self.whole => return Err(GgufError::Corrupt("the header is cut short".into())),
            None => return Err(GgufError::Corrupt("the header is longer than 256 MiB".into())),
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        self.array().map(u64::from_le_bytes)
    }

    fn count(&mut self, what: &str, most: u64) -> Result<u64, GgufError> {
        match self.u64()? {
            count if count <= most => Ok(count),
            count => Err(GgufError::Corrupt(format!("the header claims {count} {what}"))),
        }
    }

    fn text(&mut self) -> Result<String, GgufError> {
        let length = self.u64()?;
        self.take(length)?;
        let mut bytes = Vec::new();
        self.file.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(GgufError::Corrupt("the header is cut short".into()));
        }
        String::from_utf8(bytes)
            .or_else(|error| Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// `None` for a value that nothing here needs (arrays of arrays, of booleans).
    fn value(&mut self, kind: u32) -> Result<Option<Value>, GgufError> {
        Ok(Some(match kind {
            6 => Value::Float(f64::from(self.float32()?)),
            7 => Value::Bool(self.array::<1>()? != [0]),
            8 => Value::Text(self.text()?),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            9 => {
                let element = self.u32()?;
                let count = self.count("array elements", MAX_ARRAY)?;
                return self.list(element, count);
            }
            _ => Value::Int(self.integer(kind)?),
        }))
    }

    fn list(&mut self, element: u32, count: u64) -> Result<Option<Value>, GgufError> {
        Ok(match element {
            8 => Some(Value::Texts((0..count).map(|_| self.text()).collect::<Result<_, _>>()?)),
            6 => Some(Value::Floats((0..count).map(|_| self.float32()).collect::<Result<_, _>>()?)),
            9 => return Err(GgufError::Corrupt("metadata holds an array of arrays".into())),
            7 | 12 => {
                for _ in 0..count {
                    self.value(element)?;
                }
                None
            }
            _ => {
                let narrow = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
                Some(Value::Ints(
                    (0..count)
                        .map(|_| self.integer(element).map(narrow))
                        .collect::<Result<_, _>>()?,
                ))
            }
        })
    }

    fn float32(&mut self) -> Result<f32, GgufError> {
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
            10 => i64::try_from(self.u64()?).unwrap_or(i64::MAX),
            11 => i64::from_le_bytes(self.array()?),
            other => return Err(GgufError::Corrupt(format!("metadata of unknown type {other}"))),
        })
    }

    fn tensor(&mut self) -> Result<(String, TensorInfo), GgufError> {
        let name = self.text()?;
        let broken = |what: &str| GgufError::Corrupt(format!("tensor {name} {what}"));
        let dimensions = self.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(broken("has no or too many dimensions"));
        }
        let mut shape = [1_usize; 4];
        for size in shape.iter_mut().take(dimensions as usize) {
            *size = match usize::try_from(self.u64()?) {
                Ok(size @ 1..=0x7fff_ffff) => size,
                _ => return Err(broken("has an impossible size")),
            };
        }
        let dtype = dtype(self.u32()?, &name)?;
        let offset = self.u64()?;
        let [columns, rest @ ..] = shape;
        let rows = rest.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let (values, bytes) = dtype.block();
        if !columns.is_multiple_of(values) {
            return Err(broken("has a row that is no whole number of blocks"));
        }
        let (Some(rows), Some(bytes)) =
            (rows, rows.and_then(|rows| rows.checked_mul(columns / values * bytes)))
        else {
            return Err(broken("has an impossible size"));
        };
        Ok((name, TensorInfo { rows, columns, dtype, offset, bytes }))
    }
}

fn dtype(code: u32, tensor: &str) -> Result<DType, GgufError> {
    Ok(match code {
        0 => DType::F32,
        1 => DType::F16,
        2 => DType::Q4_0,
        3 => DType::Q4_1,
        6 => DType::Q5_0,
        7 => DType::Q5_1,
        8 => DType::Q8_0,
        10 => DType::Q2K,
        11 => DType::Q3K,
        12 => DType::Q4K,
        13 => DType::Q5K,
        14 => DType::Q6K,
        20 => DType::Iq4Nl,
        23 => DType::Iq4Xs,
        30 => DType::Bf16,
        other => {
            let name = match other {
                9 => "Q8_1",
                15 => "Q8_K",
                16 => "IQ2_XXS",
                17 => "IQ2_XS",
                18 => "IQ3_XXS",
                19 => "IQ1_S",
                21 => "IQ3_S",
                22 => "IQ2_S",
                24..=28 => "integers, or F64",
                29 => "IQ1_M",
                34 => "TQ1_0",
                35 => "TQ2_0",
                39 => "MXFP4",
                40 => "NVFP4",
                _ => "unknown",
            };
            return Err(GgufError::Unsupported(format!(
                "tensor {tensor} has quantisation type {other} ({name}); use a file in Q4_0 to Q8_0, a K-quant, IQ4_NL, \
                 IQ4_XS, F16, BF16 or F32"
            )));
        }
    })
}

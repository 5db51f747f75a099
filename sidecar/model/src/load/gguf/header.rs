//! The header of a GGUF file, read under bounds.
//!
//! A weight file is untrusted input. Nothing here allocates more than a small multiple of what
//! the file holds, and every size is checked before it is used.

use super::dtype::dtype;
use super::reader::BoundedReader;
pub(crate) use super::reader::{GgufError, MetadataValue};
use crate::tensor::{Order, TensorInfo};
use std::collections::HashMap;
use std::io::{BufRead, Seek};

/// Most metadata entries, and most tensors.
const MAX_ENTRIES: u64 = 1 << 17;

/// A GGUF header: metadata, and where each tensor lies.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) metadata: HashMap<String, MetadataValue>,
    pub(crate) tensors: HashMap<String, TensorInfo>,
}

impl Header {
    /// Reads the header from the start of `file`, which is `length` bytes long.
    pub(crate) fn read(file: &mut (impl BufRead + Seek), length: u64) -> Result<Self, GgufError> {
        let mut reader = BoundedReader::new(file, length);
        if &reader.array::<4>()? != b"GGUF" {
            return Err(GgufError::Corrupt("it is not a GGUF file".into()));
        }
        match reader.u32()? {
            2 | 3 => {}
            version if version.swap_bytes() < 16 => {
                return Err(GgufError::Unsupported(
                    "a big-endian GGUF file; convert it to little-endian".into(),
                ));
            }
            version => {
                return Err(GgufError::Unsupported(format!(
                    "GGUF version {version}; versions 2 and 3 are read: convert the original \
                     model again"
                )));
            }
        }
        let tensor_count = reader.count("tensors", MAX_ENTRIES)?;
        let metadata_count = reader.count("metadata entries", MAX_ENTRIES)?;
        let mut metadata = HashMap::new();
        for _ in 0..metadata_count {
            let key = reader.text()?;
            let kind = reader.u32()?;
            if let Some(value) = reader.value(kind)? {
                metadata.insert(key, value);
            }
        }
        let mut infos = Vec::new();
        for _ in 0..tensor_count {
            infos.push(tensor(&mut reader)?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(MetadataValue::Int(a)) if (1..=1 << 20).contains(a) && a.count_ones() == 1 => {
                a.unsigned_abs()
            }
            Some(_) => {
                return Err(GgufError::Corrupt("general.alignment is not a power of two".into()));
            }
        };
        let data = reader.position()?.next_multiple_of(alignment);
        let mut tensors = HashMap::new();
        for (name, mut info) in infos {
            info.offset = info.offset.saturating_add(data);
            if info.offset.checked_add(info.bytes as u64).is_none_or(|end| end > length) {
                return Err(GgufError::Incomplete(format!(
                    "tensor {name} lies beyond the end of the file, which is cut short"
                )));
            }
            if tensors.insert(name.clone(), info).is_some() {
                return Err(GgufError::Corrupt(format!("tensor {name} occurs twice")));
            }
        }
        Ok(Self { metadata, tensors })
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(MetadataValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Option<&[String]> {
        match self.metadata.get(key) {
            Some(MetadataValue::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    /// A whole number, however it is written; one for each block is as good as one, if all are the
    /// same.
    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.metadata.get(key)? {
            &MetadataValue::Int(value) => Some(value),
            #[allow(clippy::cast_possible_truncation, reason = "it is whole, and small")]
            &MetadataValue::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
                Some(value as i64)
            }
            MetadataValue::Ints(values) => same(values).map(i64::from),
            _ => None,
        }
    }

    /// A number, as [`Self::int`].
    #[allow(clippy::cast_precision_loss, reason = "no setting has so many digits")]
    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key)? {
            &MetadataValue::Float(value) => Some(value),
            &MetadataValue::Int(value) => Some(value as f64),
            MetadataValue::Ints(values) => same(values).map(f64::from),
            MetadataValue::Floats(values) => same(values).map(f64::from),
            _ => None,
        }
    }

    /// Whether there are numbers for each block that are not all the same.
    pub(crate) fn differs(&self, key: &str) -> bool {
        match self.metadata.get(key) {
            Some(MetadataValue::Ints(values)) => same(values).is_none() && !values.is_empty(),
            Some(MetadataValue::Floats(values)) => same(values).is_none() && !values.is_empty(),
            _ => false,
        }
    }

    pub(crate) fn bool(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key) {
            Some(&MetadataValue::Bool(value)) => Some(value),
            Some(&MetadataValue::Int(value @ 0..=1)) => Some(value == 1),
            _ => None,
        }
    }

    pub(crate) fn ints(&self, key: &str) -> Option<&[i32]> {
        match self.metadata.get(key) {
            Some(MetadataValue::Ints(values)) => Some(values),
            _ => None,
        }
    }

    pub(crate) fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.metadata.get(key) {
            Some(MetadataValue::Floats(values)) => Some(values),
            _ => None,
        }
    }
}

/// The one value that all of these are.
fn same<T: Copy + PartialEq>(values: &[T]) -> Option<T> {
    let (&first, rest) = values.split_first()?;
    rest.iter().all(|&value| value == first).then_some(first)
}

/// One entry of the list of tensors. Its offset is from the start of the tensor data.
fn tensor(
    reader: &mut BoundedReader<'_, impl BufRead + Seek>,
) -> Result<(String, TensorInfo), GgufError> {
    let name = reader.text()?;
    let broken = |what: &str| GgufError::Corrupt(format!("tensor {name} {what}"));
    let dimensions = reader.u32()?;
    if !(1..=4).contains(&dimensions) {
        return Err(broken("has no dimensions, or too many"));
    }
    let mut shape = [1_usize; 4];
    for size in shape.iter_mut().take(dimensions as usize) {
        *size = match usize::try_from(reader.u64()?) {
            Ok(size @ 1..=0x7fff_ffff) => size,
            _ => return Err(broken("has an impossible size")),
        };
    }
    let dtype = dtype(reader.u32()?, &name)?;
    let offset = reader.u64()?;
    let [columns, rest @ ..] = shape;
    let rows = rest.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    let (values, bytes) = dtype.block();
    if !columns.is_multiple_of(values) {
        return Err(broken("has a row that is not a whole number of blocks"));
    }
    let (Some(rows), Some(bytes)) =
        (rows, rows.and_then(|rows| rows.checked_mul(columns / values * bytes)))
    else {
        return Err(broken("has an impossible size"));
    };
    Ok((name, TensorInfo { rows, columns, dtype, order: Order::Rows, offset, bytes }))
}

#[cfg(test)]
mod tests;

//! Tensors as weight files store them.

use crate::error::LoadError;
use half::{bf16, f16};

/// Storage type of a tensor's values, by its name in ggml.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
    /// 4-bit floats, 32 with one power of two as their scale (OCX Microscaling Formats, 1.0).
    Mxfp4,
    /// The codes of the same without their scales, two neighbours a byte: safetensors files hold
    /// them apart.
    Mxfp4Codes,
    /// The scales of the same.
    Mxfp4Scales,
}

/// Largest exponent of an MXFP4 scale that is taken: it is held in F16.
const MAX_EXPONENT: u8 = 143;

impl DType {
    /// Values per block, and bytes per block.
    pub(crate) fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 | Self::Iq4Nl => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2K => (256, 84),
            Self::Q3K => (256, 110),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
            Self::Iq4Xs => (256, 136),
            Self::Mxfp4 => (32, 17),
            Self::Mxfp4Codes => (32, 16),
            Self::Mxfp4Scales => (32, 1),
        }
    }

    /// Whether a tensor of this type holds only codes or only scales of a matrix.
    pub(crate) fn is_a_part(self) -> bool {
        matches!(self, Self::Mxfp4Codes | Self::Mxfp4Scales)
    }

    /// Bytes of a row of `columns` values, a multiple of the block's values.
    pub(crate) fn row_bytes(self, columns: usize) -> usize {
        let (values, bytes) = self.block();
        columns / values * bytes
    }
}

impl DType {
    /// Whether every number that these bytes, whole blocks, hold or scale by is finite. Codes are
    /// integers; their scales are numbers.
    pub(crate) fn is_finite(self, raw: &[u8]) -> bool {
        let (_, width) = self.block();
        // Where the F16 numbers of a block lie, in bytes.
        let scales: &[usize] = match self {
            Self::F32 => {
                return raw
                    .as_chunks()
                    .0
                    .iter()
                    .all(|&bytes| f32::from_le_bytes(bytes).is_finite());
            }
            Self::Bf16 => {
                return raw
                    .as_chunks()
                    .0
                    .iter()
                    .all(|&bytes| bf16::from_le_bytes(bytes).is_finite());
            }
            Self::F16 | Self::Q4_0 | Self::Q5_0 | Self::Q8_0 | Self::Iq4Nl | Self::Iq4Xs => &[0],
            Self::Q4_1 | Self::Q5_1 | Self::Q4K | Self::Q5K => &[0, 2],
            Self::Q2K => &[80, 82],
            Self::Q3K => &[108],
            Self::Q6K => &[208],
            Self::Mxfp4 | Self::Mxfp4Scales => {
                return raw.chunks_exact(width).all(|block| block[0] <= MAX_EXPONENT);
            }
            Self::Mxfp4Codes => return true,
        };
        raw.chunks_exact(width).all(|block| {
            scales.iter().all(|&at| f16::from_le_bytes([block[at], block[at + 1]]).is_finite())
        })
    }
}

/// The error for a tensor with NaN or infinity in it.
pub(crate) fn not_finite(name: &str) -> LoadError {
    LoadError::corrupt(format!("tensor {name} holds a number that is not finite (NaN or infinity)"))
}

/// In which order the values of a matrix, or of each of several, lie in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Row after row.
    Rows,
    /// Column after column.
    Columns,
}

/// Shape, storage type and place of a tensor in its file. A vector has one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorInfo {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) dtype: DType,
    pub(crate) order: Order,
    /// Bytes from the start of the file.
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
}

/// Values of the tensor `name`, which must not be quantized.
pub(crate) fn decode_floats(name: &str, dtype: DType, raw: &[u8]) -> Result<Vec<f32>, LoadError> {
    Ok(match dtype {
        DType::F32 => raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        DType::F16 => {
            raw.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()
        }
        DType::Bf16 => {
            raw.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect()
        }
        other => {
            return Err(LoadError::unsupported(format!(
                "tensor {name} is quantized as {other:?}, where F32, F16 or BF16 is needed"
            )));
        }
    })
}

#[cfg(test)]
mod tests;

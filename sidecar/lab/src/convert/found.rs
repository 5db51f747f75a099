//! Tensors of another tool's file, widened to F32.

use half::{bf16, f16};
use personaguard_persona::f32_tensors::{check_finite, from_bytes};

/// A tensor of a file.
pub(super) struct Found {
    /// Its name; in a list, its place in brackets.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Values in row-major order; or why there are none. The text continues a sentence whose
    /// subject is the tensor.
    pub(super) values: Result<Vec<f32>, String>,
}

impl Found {
    /// Number of rows and of values in each, once dimensions of 1 are dropped. A single row has one
    /// dimension.
    pub(super) fn rows(&self) -> Option<(usize, usize)> {
        let large: Vec<usize> = self.shape.iter().copied().filter(|size| *size != 1).collect();
        match *large.as_slice() {
            [hidden] => Some((1, hidden)),
            [rows, hidden] => Some((rows, hidden)),
            _ => None,
        }
    }

    /// Its values as rows of `hidden` values.
    ///
    /// # Errors
    /// If there are none, or one is not finite.
    pub(super) fn into_rows(self, hidden: usize) -> Result<Vec<Vec<f32>>, String> {
        let tensor = match self.name.as_str() {
            "" => "its tensor".to_owned(),
            name => format!("its tensor {name}"),
        };
        let values = self.values.map_err(|problem| format!("{tensor} {problem}"))?;
        check_finite(&values)
            .map_err(|problem| format!("{tensor} {problem}: make it again, in single precision"))?;
        Ok(values.chunks_exact(hidden.max(1)).map(<[f32]>::to_vec).collect())
    }
}

/// Types of floating-point numbers that have one meaning as F32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

impl Float {
    /// Size of a value in bytes.
    pub(super) fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Values from their little-endian bytes; an incomplete value at the end is dropped.
    pub(super) fn widen(self, bytes: &[u8]) -> Vec<f32> {
        let pairs = || bytes.as_chunks::<2>().0.iter().copied();
        match self {
            Self::F16 => pairs().map(|pair| f16::from_le_bytes(pair).to_f32()).collect(),
            Self::Bf16 => pairs().map(|pair| bf16::from_le_bytes(pair).to_f32()).collect(),
            Self::F32 => from_bytes(bytes),
            Self::F64 => {
                bytes.as_chunks::<8>().0.iter().map(|all| f64::from_le_bytes(*all) as f32).collect()
            }
        }
    }
}

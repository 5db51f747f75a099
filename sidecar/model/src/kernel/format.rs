//! How weights are held in memory.

use super::layout::{LANES, QUANT_BLOCK};

/// Twice the floating-point numbers of 4 bits: one of sign, two of exponent, one of mantissa.
pub(crate) const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Format of a matrix's weights. Quantized weights are codes, in blocks of `QUANT_BLOCK` columns of
/// `LANES` rows, with scales in f16; [`super::pack`] describes their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightFormat {
    /// 4 bits: scale · (code − 8).
    U4,
    /// 4 bits: scale · code + minimum.
    U4Min,
    /// 4 bits, floating-point: scale · [`E2M1`]\[code\].
    E2m1,
    /// 5 bits: scale · (code − 16).
    U5,
    /// 5 bits: scale · code + minimum.
    U5Min,
    /// 6 bits: scale · (code − 32), with one scale for 16 columns.
    U6,
    /// 8 bits, signed: scale · code.
    I8,
    F16,
    Bf16,
    F32,
}

impl WeightFormat {
    /// Bytes of a floating-point weight; `None` for quantized formats.
    pub(crate) const fn float_bytes(self) -> Option<usize> {
        match self {
            Self::F32 => Some(4),
            Self::F16 | Self::Bf16 => Some(2),
            _ => None,
        }
    }

    /// Bytes of the codes of one block of [`LANES`] rows.
    pub(crate) const fn code_bytes(self) -> usize {
        match self {
            Self::U4 | Self::U4Min | Self::E2m1 => 128,
            Self::U5 | Self::U5Min => 160,
            Self::U6 => 192,
            Self::I8 => 256,
            Self::F16 | Self::Bf16 => 512,
            Self::F32 => 1024,
        }
    }

    /// Bytes of the scales of one block of [`LANES`] rows: f16, the scales of all rows, then the
    /// minima or second scales of all rows.
    pub(crate) const fn scale_bytes(self) -> usize {
        match self {
            Self::U4 | Self::E2m1 | Self::U5 | Self::I8 => 16,
            Self::U4Min | Self::U5Min | Self::U6 => 32,
            Self::F16 | Self::Bf16 | Self::F32 => 0,
        }
    }

    pub(crate) const fn has_minimum(self) -> bool {
        matches!(self, Self::U4Min | Self::U5Min)
    }

    /// Bytes of a group of [`LANES`] rows, rounded up to whole cache lines.
    pub(crate) const fn group_bytes(self, columns: usize) -> usize {
        let bytes = match self.float_bytes() {
            Some(width) => columns * LANES * width,
            None => columns / QUANT_BLOCK * (self.code_bytes() + self.scale_bytes()),
        };
        bytes.next_multiple_of(64)
    }
}

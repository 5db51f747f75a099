//! Random weights and activations for the tests of the kernels.

use super::activations::QuantizedActivations;
use super::layout::LANES;
use super::matrix::Matrix;
use super::pack::{format_of, pack};
use crate::pool::ThreadPool;
use crate::tensor::DType;
use candle_core::quantized::GgmlDType;
use half::f16;
use rand::Rng;
use rand::rngs::StdRng;

pub(super) const QUANTIZED: [(DType, GgmlDType); 10] = [
    (DType::Q4_0, GgmlDType::Q4_0),
    (DType::Q4_1, GgmlDType::Q4_1),
    (DType::Q5_0, GgmlDType::Q5_0),
    (DType::Q5_1, GgmlDType::Q5_1),
    (DType::Q8_0, GgmlDType::Q8_0),
    (DType::Q2K, GgmlDType::Q2K),
    (DType::Q3K, GgmlDType::Q3K),
    (DType::Q4K, GgmlDType::Q4K),
    (DType::Q5K, GgmlDType::Q5K),
    (DType::Q6K, GgmlDType::Q6K),
];
pub(super) const FLOATS: [(DType, GgmlDType); 3] =
    [(DType::F32, GgmlDType::F32), (DType::F16, GgmlDType::F16), (DType::Bf16, GgmlDType::BF16)];

/// Random blocks with small scales: every bit pattern of codes occurs.
pub(super) fn random_blocks(
    dtype: DType,
    rows: usize,
    columns: usize,
    rng: &mut StdRng,
) -> Vec<u8> {
    let (values, bytes) = dtype.block();
    let mut raw = Vec::new();
    for _ in 0..rows * columns / values {
        let mut block: Vec<u8> = (0..bytes).map(|_| rng.random()).collect();
        let mut half = |at: usize| {
            let value = f16::from_f32(rng.random_range(-0.02..0.02));
            block[at..at + 2].copy_from_slice(&value.to_le_bytes());
        };
        match dtype {
            DType::Q4_0 | DType::Q5_0 | DType::Q8_0 | DType::F16 | DType::Iq4Nl | DType::Iq4Xs => {
                half(0);
            }
            DType::Q4_1 | DType::Q5_1 | DType::Q4K | DType::Q5K => {
                half(0);
                half(2);
            }
            DType::Q2K => {
                half(80);
                half(82);
            }
            DType::Q3K => half(108),
            DType::Q6K => half(208),
            DType::Mxfp4 | DType::Mxfp4Scales => block[0] = rng.random_range(118..=123),
            DType::Mxfp4Codes => {}
            DType::F32 => block.copy_from_slice(&rng.random_range(-1_f32..1.0).to_le_bytes()),
            DType::Bf16 => block
                .copy_from_slice(&half::bf16::from_f32(rng.random_range(-1.0..1.0)).to_le_bytes()),
        }
        raw.extend(block);
    }
    raw
}

pub(super) fn pack_all(
    pool: &ThreadPool,
    dtype: DType,
    raw: &[u8],
    rows: usize,
    columns: usize,
) -> Matrix {
    let mut matrix = Matrix::new(format_of(dtype), rows, columns);
    let half = rows / LANES / 2 * LANES;
    let (first, second) = raw.split_at(half * dtype.row_bytes(columns));
    pack(pool, dtype, first, &mut matrix, 0);
    pack(pool, dtype, second, &mut matrix, half / LANES);
    matrix
}

pub(super) fn random_activations(
    rows: usize,
    columns: usize,
    rng: &mut StdRng,
) -> QuantizedActivations {
    let mut activations = QuantizedActivations::default();
    activations.resize(rows, columns);
    let writer = activations.writer();
    for row in 0..rows {
        #[allow(unsafe_code)]
        // SAFETY: one row at a time.
        unsafe {
            writer.values(row).iter_mut().for_each(|value| *value = rng.random_range(-3.0..3.0));
            writer.quantize(row);
        }
    }
    activations
}

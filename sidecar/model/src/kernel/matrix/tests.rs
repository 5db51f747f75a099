//! Kernels against the scalar reference.

use super::*;
use crate::kernel::activations::QuantizedActivations;
use crate::kernel::testing::{FLOATS, QUANTIZED, pack_all, random_activations, random_blocks};
use crate::pool::ThreadPool;
use crate::tensor::DType;
use half::f16;
use rand::SeedableRng;
use rand::rngs::StdRng;

#[test]
fn kernels_agree_with_the_scalar_reference_whatever_the_batch() {
    let pool = ThreadPool::new(1).unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    let all = QUANTIZED.into_iter().chain(FLOATS).map(|(dtype, _)| dtype);
    for dtype in all.chain([DType::Iq4Xs, DType::Mxfp4]) {
        for columns in [256, 768, 1536] {
            let raw = random_blocks(dtype, 16, columns, &mut rng);
            let matrix = pack_all(&pool, dtype, &raw, 16, columns);
            let activations = random_activations(TILE_ROWS, columns, &mut rng);
            let rows: Vec<_> = (0..TILE_ROWS).map(|row| activations.row(row)).collect();
            for group in 0..2 {
                let (mut whole, mut expected): (Tile, Tile) = Default::default();
                matrix.dot_tile(group, &rows, &mut whole);
                scalar::tile(matrix.format, columns, matrix.group(group), &rows, &mut expected);
                let largest = expected.as_flattened().iter().fold(0.0_f32, |l, v| l.max(v.abs()));
                for (found, expected) in whole.as_flattened().iter().zip(expected.as_flattened()) {
                    assert!(
                        (found - expected).abs() <= largest * 1e-5,
                        "{dtype:?} × {columns}: {found} for {expected}"
                    );
                }
                for count in 1..TILE_ROWS {
                    let mut part = Tile::default();
                    matrix.dot_tile(group, &rows[..count], &mut part);
                    assert_eq!(part[..count], whole[..count], "{dtype:?} in a batch of {count}");
                }
            }
        }
    }
}

#[test]
fn extreme_codes_do_not_overflow_sixteen_bits() {
    let pool = ThreadPool::new(1).unwrap();
    for dtype in
        [DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q5_1, DType::Q6K, DType::Q8_0, DType::Mxfp4]
    {
        for byte in [0xff, 0x80, 0x7f, 0x77] {
            let (values, bytes) = dtype.block();
            let mut block = vec![byte; bytes];
            let one = f16::ONE.to_le_bytes();
            match dtype {
                DType::Mxfp4 => block[0] = 127,
                DType::Q6K => block[208..210].copy_from_slice(&one),
                DType::Q4_1 | DType::Q5_1 => block[..4].copy_from_slice(&[one, one].concat()),
                _ => block[..2].copy_from_slice(&one),
            }
            let raw = block.repeat(8 * 256 / values);
            let matrix = pack_all(&pool, dtype, &raw, 8, 256);
            for sign in [1.0, -1.0] {
                let mut activations = QuantizedActivations::default();
                activations.resize(1, 256);
                let writer = activations.writer();
                #[allow(unsafe_code)]
                // SAFETY: one row at a time.
                unsafe {
                    writer.values(0).fill(127.0 * sign);
                    writer.quantize(0);
                }
                let (mut found, mut expected): (Tile, Tile) = Default::default();
                matrix.dot_tile(0, &[activations.row(0)], &mut found);
                scalar::tile(
                    matrix.format,
                    256,
                    matrix.group(0),
                    &[activations.row(0)],
                    &mut expected,
                );
                assert!(
                    (found[0][0] - expected[0][0]).abs() <= expected[0][0].abs() * 1e-5,
                    "{dtype:?} {byte:#x}"
                );
            }
        }
    }
}

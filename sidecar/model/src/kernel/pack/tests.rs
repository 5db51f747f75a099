//! Packed weights against candle's dequantization.

use super::*;
use crate::kernel::testing::{FLOATS, QUANTIZED, pack_all, random_blocks};
use candle_core::Device;
use candle_core::quantized::{GgmlDType, ggml_file::qtensor_from_ggml};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn reference(raw: &[u8], dtype: GgmlDType, rows: usize, columns: usize) -> Vec<f32> {
    let tensor = qtensor_from_ggml(dtype, raw, vec![rows, columns], &Device::Cpu).unwrap();
    tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn packed_rows_hold_what_the_file_says() {
    let pool = ThreadPool::new(2).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    for (dtype, theirs) in QUANTIZED.into_iter().chain(FLOATS) {
        let (rows, columns) = (21, 768);
        let raw = random_blocks(dtype, rows, columns, &mut rng);
        let matrix = pack_all(&pool, dtype, &raw, rows, columns);
        let expected = reference(&raw, theirs, rows, columns);
        let mut row = vec![0.0; columns];
        for (index, expected) in expected.chunks_exact(columns).enumerate() {
            matrix.dequantize_row(index, &mut row);
            let largest = expected.iter().fold(0.0_f32, |l, v| l.max(v.abs()));
            // Scales of K-quants are rounded to f16; Q2_K and Q3_K go to 8 bits.
            let tolerance =
                largest * if matches!(dtype, DType::Q2K | DType::Q3K) { 0.005 } else { 0.001 };
            for (found, expected) in row.iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= tolerance,
                    "{dtype:?} row {index}: {found} for {expected}"
                );
            }
        }
    }
}

/// candle reads neither of these types: against the published rule, value by value.
#[test]
fn codebook_quants_hold_what_the_file_says() {
    const CODEBOOK: [f32; 16] =
        [-127., -104., -83., -65., -49., -35., -22., -10., 1., 13., 25., 38., 53., 69., 89., 113.];
    let pool = ThreadPool::new(2).unwrap();
    let mut rng = StdRng::seed_from_u64(11);
    let (rows, columns) = (9, 512);
    for dtype in [DType::Iq4Nl, DType::Iq4Xs] {
        let raw = random_blocks(dtype, rows, columns, &mut rng);
        let matrix = pack_all(&pool, dtype, &raw, rows, columns);
        let (values, bytes) = dtype.block();
        let mut row = vec![0.0; columns];
        for (index, blocks) in raw.chunks_exact(columns / values * bytes).enumerate() {
            matrix.dequantize_row(index, &mut row);
            for (column, found) in row.iter().enumerate() {
                let (block, at) = (&blocks[column / values * bytes..][..bytes], column % values);
                let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
                let sub = at / 32;
                let (scale, codes) = match dtype {
                    DType::Iq4Nl => (scale, &block[2..]),
                    _ => {
                        let low = (block[4 + sub / 2] >> (4 * (sub % 2))) & 0xf;
                        let high = (u16::from_le_bytes([block[2], block[3]]) >> (2 * sub)) & 3;
                        (
                            scale * (f32::from(low) + 16.0 * f32::from(high) - 32.0),
                            &block[8 + 16 * sub..],
                        )
                    }
                };
                let byte = codes[at % 16];
                let expected = scale
                    * CODEBOOK[usize::from(if at % 32 < 16 { byte & 0xf } else { byte >> 4 })];
                assert!(
                    (found - expected).abs() <= 1e-3 * expected.abs(),
                    "{dtype:?}: {found} for {expected}"
                );
            }
        }
    }
}

/// The numbers of MXFP4 by its specification; codes and scales by themselves, in either order, are
/// the same as blocks.
#[test]
fn floats_of_four_bits_hold_what_the_file_says() {
    const NUMBERS: [f32; 16] =
        [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];
    let pool = ThreadPool::new(2).unwrap();
    let mut rng = StdRng::seed_from_u64(12);
    let (rows, columns) = (21, 512);
    let raw = random_blocks(DType::Mxfp4, rows, columns, &mut rng);
    let whole = pack_all(&pool, DType::Mxfp4, &raw, rows, columns);
    let blocks = raw.as_chunks::<17>().0;
    let scales: Vec<u8> = blocks.iter().map(|block| block[0]).collect();
    let codes = blocks.iter().flat_map(|block| {
        let code = |at: usize| if at < 16 { block[1 + at] & 15 } else { block[at - 15] >> 4 };
        (0..16).map(move |at| code(2 * at) | code(2 * at + 1) << 4)
    });
    let codes: Vec<u8> = codes.collect();
    let parts = [(DType::Mxfp4Codes, &codes), (DType::Mxfp4Scales, &scales)];
    for order in [[0, 1], [1, 0]] {
        let mut matrix = Matrix::new(WeightFormat::E2m1, rows, columns);
        for (dtype, raw) in order.map(|index| parts[index]) {
            pack(&pool, dtype, raw, &mut matrix, 0);
        }
        for group in 0..matrix.groups() {
            assert_eq!(matrix.group(group), whole.group(group));
        }
    }
    let mut row = vec![0.0; columns];
    for index in 0..rows {
        whole.dequantize_row(index, &mut row);
        for (column, found) in row.iter().enumerate() {
            let block = &blocks[index * columns / 32 + column / 32];
            let byte = block[1 + column % 16];
            let code = if column % 32 < 16 { byte & 15 } else { byte >> 4 };
            let expected = NUMBERS[usize::from(code)] * 2.0_f32.powi(i32::from(block[0]) - 127);
            assert!(*found == expected, "{index} {column}: {found} for {expected}");
        }
    }
}

//! Packing against candle's dequantisation, and kernels against the scalar reference.

use super::super::acts::Acts;
use super::super::{TILE, Tile, scalar};
use super::*;
use candle_core::Device;
use candle_core::quantized::{GgmlDType, ggml_file::qtensor_from_ggml};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const QUANTISED: [(DType, GgmlDType); 10] = [
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
const PLAIN: [(DType, GgmlDType); 3] =
    [(DType::F32, GgmlDType::F32), (DType::F16, GgmlDType::F16), (DType::Bf16, GgmlDType::BF16)];

/// Random bytes with sane scales, so that every bit pattern of codes occurs.
fn random_blocks(dtype: DType, rows: usize, columns: usize, rng: &mut StdRng) -> Vec<u8> {
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
                half(0)
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
            DType::F32 => block.copy_from_slice(&rng.random_range(-1_f32..1.0).to_le_bytes()),
            DType::Bf16 => block
                .copy_from_slice(&half::bf16::from_f32(rng.random_range(-1.0..1.0)).to_le_bytes()),
        }
        raw.extend(block);
    }
    raw
}

fn whole(pool: &Pool, dtype: DType, raw: &[u8], rows: usize, columns: usize) -> Matrix {
    let mut matrix = Matrix::new(format_of(dtype), rows, columns);
    let half = rows / LANES / 2 * LANES;
    let (first, second) = raw.split_at(half * row_bytes(dtype, columns));
    pack(pool, dtype, first, &mut matrix, 0);
    pack(pool, dtype, second, &mut matrix, half / LANES);
    matrix
}

fn reference(raw: &[u8], dtype: GgmlDType, rows: usize, columns: usize) -> Vec<f32> {
    let tensor = qtensor_from_ggml(dtype, raw, vec![rows, columns], &Device::Cpu).unwrap();
    tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn packed_rows_hold_what_the_file_says() {
    let pool = Pool::new(2).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    for (dtype, theirs) in QUANTISED.into_iter().chain(PLAIN) {
        let (rows, columns) = (21, 768);
        let raw = random_blocks(dtype, rows, columns, &mut rng);
        let matrix = whole(&pool, dtype, &raw, rows, columns);
        let expected = reference(&raw, theirs, rows, columns);
        let mut row = vec![0.0; columns];
        for (index, expected) in expected.chunks_exact(columns).enumerate() {
            matrix.dequantise_row(index, &mut row);
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

/// candle reads neither: against the published rule, value by value.
#[test]
fn codebook_quants_hold_what_the_file_says() {
    const MEANT: [f32; 16] =
        [-127., -104., -83., -65., -49., -35., -22., -10., 1., 13., 25., 38., 53., 69., 89., 113.];
    let pool = Pool::new(2).unwrap();
    let mut rng = StdRng::seed_from_u64(11);
    let (rows, columns) = (9, 512);
    for dtype in [DType::Iq4Nl, DType::Iq4Xs] {
        let raw = random_blocks(dtype, rows, columns, &mut rng);
        let matrix = whole(&pool, dtype, &raw, rows, columns);
        let (values, bytes) = dtype.block();
        let mut row = vec![0.0; columns];
        for (index, blocks) in raw.chunks_exact(columns / values * bytes).enumerate() {
            matrix.dequantise_row(index, &mut row);
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
                let expected =
                    scale * MEANT[usize::from(if at % 32 < 16 { byte & 0xf } else { byte >> 4 })];
                assert!(
                    (found - expected).abs() <= 1e-3 * expected.abs(),
                    "{dtype:?}: {found} for {expected}"
                );
            }
        }
    }
}

fn random_acts(rows: usize, columns: usize, rng: &mut StdRng) -> Acts {
    let mut acts = Acts::default();
    acts.resize(rows, columns);
    let writer = acts.writer();
    for row in 0..rows {
        #[allow(unsafe_code)]
        // SAFETY: one row at a time.
        unsafe {
            writer.plain(row).iter_mut().for_each(|value| *value = rng.random_range(-3.0..3.0));
            writer.quantise(row);
        }
    }
    acts
}

#[test]
fn quantised_activations_are_the_scalar_reference_bit_for_bit() {
    let mut rng = StdRng::seed_from_u64(2);
    let acts = random_acts(3, 256, &mut rng);
    for row in (0..3).map(|row| acts.row(row)) {
        let (mut codes, mut scales, mut sums, mut halves) =
            (vec![0; 256], vec![0.0; 8], vec![0.0; 8], vec![0; 16]);
        scalar::quantise(row.plain, &mut codes, &mut scales, &mut sums, &mut halves);
        assert_eq!(
            (row.codes, row.scales, row.sums, row.halves),
            (&codes[..], &scales[..], &sums[..], &halves[..])
        );
        for (value, (code, block)) in
            row.plain.iter().zip(codes.iter().zip((0..256).map(|k| k / 32)))
        {
            assert!((value - f32::from(*code) * scales[block]).abs() <= scales[block] * 0.5001);
        }
    }
}

#[test]
fn kernels_agree_with_the_scalar_reference_whatever_the_batch() {
    let pool = Pool::new(1).unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    for (dtype, _) in QUANTISED.into_iter().chain(PLAIN) {
        for columns in [256, 768, 1536] {
            let raw = random_blocks(dtype, 16, columns, &mut rng);
            let matrix = whole(&pool, dtype, &raw, 16, columns);
            let acts = random_acts(TILE, columns, &mut rng);
            let rows: Vec<_> = (0..TILE).map(|row| acts.row(row)).collect();
            for group in 0..2 {
                let (mut whole, mut expected): (Tile, Tile) = Default::default();
                matrix.tile(group, &rows, &mut whole);
                scalar::tile(matrix.format, columns, matrix.group(group), &rows, &mut expected);
                let largest = expected.as_flattened().iter().fold(0.0_f32, |l, v| l.max(v.abs()));
                for (found, expected) in whole.as_flattened().iter().zip(expected.as_flattened()) {
                    assert!(
                        (found - expected).abs() <= largest * 1e-5,
                        "{dtype:?} × {columns}: {found} for {expected}"
                    );
                }
                for count in 1..TILE {
                    let mut part = Tile::default();
                    matrix.tile(group, &rows[..count], &mut part);
                    assert_eq!(part[..count], whole[..count], "{dtype:?} in a batch of {count}");
                }
            }
        }
    }
}

#[test]
fn extreme_codes_do_not_overflow_sixteen_bits() {
    let pool = Pool::new(1).unwrap();
    for dtype in [DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q5_1, DType::Q6K, DType::Q8_0] {
        for byte in [0xff, 0x80, 0x7f] {
            let (values, bytes) = dtype.block();
            let mut block = vec![byte; bytes];
            let one = f16::ONE.to_le_bytes();
            match dtype {
                DType::Q6K => block[208..210].copy_from_slice(&one),
                DType::Q4_1 | DType::Q5_1 => block[..4].copy_from_slice(&[one, one].concat()),
                _ => block[..2].copy_from_slice(&one),
            }
            let raw = block.repeat(8 * 256 / values);
            let matrix = whole(&pool, dtype, &raw, 8, 256);
            for sign in [1.0, -1.0] {
                let mut acts = Acts::default();
                acts.resize(1, 256);
                let writer = acts.writer();
                #[allow(unsafe_code)]
                // SAFETY: one row at a time.
                unsafe {
                    writer.plain(0).fill(127.0 * sign);
                    writer.quantise(0);
                }
                let (mut found, mut expected): (Tile, Tile) = Default::default();
                matrix.tile(0, &[acts.row(0)], &mut found);
                scalar::tile(matrix.format, 256, matrix.group(0), &[acts.row(0)], &mut expected);
                assert!(
                    (found[0][0] - expected[0][0]).abs() <= expected[0][0].abs() * 1e-5,
                    "{dtype:?} {byte:#x}"
                );
            }
        }
    }
}

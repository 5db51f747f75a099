//! Matrix kernels for x86 with AVX2, FMA and F16C. The reference for each is in [`super::scalar`].
//!
//! A vector holds 8 weight rows × 4 columns as bytes, so that one broadcast of 4 activation codes
//! meets all rows and no horizontal sum is needed. `maddubs` multiplies unsigned by signed bytes
//! and adds pairs in 16 bits; as codes have few bits, several such products fit into 16 bits before
//! they must be widened.
#![allow(unsafe_code, clippy::cast_possible_wrap, clippy::cast_possible_truncation)]

use super::acts::Row;
use super::matrix::Format;
use super::{BLOCK, LANES, TILE, Tile};
use std::arch::x86_64::*;

/// Bytes by which a prefetch runs ahead.
const PREFETCH: usize = 2048;

/// A way to hold unsigned codes of one block.
trait Codes {
    const BYTES: usize;
    /// With and without minimum.
    const FORMATS: [Format; 2];
    /// Products whose sum fits into 16 bits: 2 · 127 · largest code · `FLUSH` ≤ 32767.
    const FLUSH: usize;
    /// 8 rows × 4 columns from column 4 · `group`.
    unsafe fn load(block: *const u8, group: usize) -> __m256i;
}

struct Four;
struct Five;
struct Six;

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn nibbles(block: *const u8, group: usize) -> __m256i {
    // SAFETY: a block starts with 4 vectors of nibbles.
    let packed = unsafe { _mm256_loadu_si256(block.add(group % 4 * 32).cast()) };
    let shifted = if group < 4 { packed } else { _mm256_srli_epi16::<4>(packed) };
    _mm256_and_si256(shifted, _mm256_set1_epi8(15))
}

impl Codes for Four {
    const BYTES: usize = Format::U4.code_bytes();
    const FORMATS: [Format; 2] = [Format::U4Min, Format::U4];
    const FLUSH: usize = 8;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(block: *const u8, group: usize) -> __m256i {
        // SAFETY: the caller's block is of this kind.
        unsafe { nibbles(block, group) }
    }
}

impl Codes for Five {
    const BYTES: usize = Format::U5.code_bytes();
    const FORMATS: [Format; 2] = [Format::U5Min, Format::U5];
    const FLUSH: usize = 4;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(block: *const u8, group: usize) -> __m256i {
        // SAFETY: after the nibbles comes one vector whose bit `group` is the fifth bit.
        let (low, bits) =
            unsafe { (nibbles(block, group), _mm256_loadu_si256(block.add(128).cast())) };
        let bits = match group {
            0 => _mm256_slli_epi16::<4>(bits),
            1 => _mm256_slli_epi16::<3>(bits),
            2 => _mm256_slli_epi16::<2>(bits),
            3 => _mm256_slli_epi16::<1>(bits),
            4 => bits,
            5 => _mm256_srli_epi16::<1>(bits),
            6 => _mm256_srli_epi16::<2>(bits),
            _ => _mm256_srli_epi16::<3>(bits),
        };
        _mm256_or_si256(low, _mm256_and_si256(bits, _mm256_set1_epi8(16)))
    }
}

impl Codes for Six {
    const BYTES: usize = Format::U6.code_bytes();
    const FORMATS: [Format; 2] = [Format::U6, Format::U6];
    const FLUSH: usize = 2;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(block: *const u8, group: usize) -> __m256i {
        // SAFETY: after the nibbles come two vectors, of the high bit pairs of groups 0..4 and
        // 4..8.
        let (low, bits) = unsafe {
            (nibbles(block, group), _mm256_loadu_si256(block.add(128 + group / 4 * 32).cast()))
        };
        let bits = match group % 4 {
            0 => _mm256_slli_epi16::<4>(bits),
            1 => _mm256_slli_epi16::<2>(bits),
            2 => bits,
            _ => _mm256_srli_epi16::<2>(bits),
        };
        _mm256_or_si256(low, _mm256_and_si256(bits, _mm256_set1_epi8(48)))
    }
}

/// See [`super::matrix::Matrix::tile`].
///
/// # Safety
/// The processor has AVX2, FMA and F16C. `group` holds [`LANES`] rows of `columns` columns in
/// `format`, each row of activations `columns` values. At most [`TILE`] rows.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn tile(
    format: Format,
    columns: usize,
    group: &[u8],
    rows: &[Row<'_>],
    out: &mut Tile,
) {
    debug_assert!(group.len() >= format.group_bytes(columns));
    // SAFETY: the caller's contract is that of each kernel.
    unsafe {
        match rows.len() {
            1 => rows_of::<1>(format, columns, group, rows, out),
            2 => rows_of::<2>(format, columns, group, rows, out),
            3 => rows_of::<3>(format, columns, group, rows, out),
            TILE => rows_of::<TILE>(format, columns, group, rows, out),
            _ => {}
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn rows_of<const C: usize>(
    format: Format,
    columns: usize,
    group: &[u8],
    rows: &[Row<'_>],
    out: &mut Tile,
) {
    let (codes, blocks) = (group.as_ptr(), columns / BLOCK);
    // SAFETY: scales follow the codes of all blocks.
    unsafe {
        let scales = codes.add(blocks * format.code_bytes());
        match format {
            Format::U4 => unsigned::<C, Four, 8, false>(codes, scales, blocks, rows, out),
            Format::U4Min => unsigned::<C, Four, 0, true>(codes, scales, blocks, rows, out),
            Format::U5 => unsigned::<C, Five, 16, false>(codes, scales, blocks, rows, out),
            Format::U5Min => unsigned::<C, Five, 0, true>(codes, scales, blocks, rows, out),
            Format::U6 => six::<C>(codes, scales, blocks, rows, out),
            Format::I8 => signed::<C>(codes, scales, blocks, rows, out),
            Format::F16 | Format::Bf16 | Format::F32 => {
                dense::<C>(format, columns, codes, rows, out)
            }
        }
    }
}

/// 4 codes of one activation row in every lane.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn broadcast(codes: *const i8) -> __m256i {
    // SAFETY: the caller has 4 codes there.
    _mm256_set1_epi32(unsafe { codes.cast::<i32>().read_unaligned() })
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn halves(scales: *const u8) -> __m256 {
    // SAFETY: the caller has 8 scales there.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(scales.cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(out: &mut [f32; LANES], sums: __m256) {
    // SAFETY: it holds 8 values.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sums) };
}

/// Asks for what comes some blocks later, of codes and of scales, in this group or the next: a
/// single row of activations waits for weights to come from memory.
#[inline]
#[target_feature(enable = "sse")]
fn ahead(format: Format, codes: *const u8, scales: *const u8, block: usize, blocks: usize) {
    let (code_bytes, scale_bytes) = (format.code_bytes(), format.scale_bytes());
    let later = block + PREFETCH.div_ceil(code_bytes);
    let (index, skip) = if later < blocks {
        (later, 0)
    } else {
        (later - blocks, format.group_bytes(blocks * BLOCK))
    };
    let codes = codes.wrapping_add(skip + index * code_bytes);
    for line in (0..code_bytes).step_by(64) {
        _mm_prefetch::<_MM_HINT_T0>(codes.wrapping_add(line).cast());
    }
    _mm_prefetch::<_MM_HINT_T0>(scales.wrapping_add(skip + index * scale_bytes).cast());
}

/// Sums of products of `FLUSH` groups from `first` on, widened.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn products<const C: usize, K: Codes>(
    block: *const u8,
    x: [*const i8; C],
    first: usize,
    sums: &mut [__m256i; C],
) {
    let mut narrow = [_mm256_setzero_si256(); C];
    for group in first..first + K::FLUSH {
        // SAFETY: a block has 8 groups of 4 columns.
        unsafe {
            let weights = K::load(block, group);
            for c in 0..C {
                let product = _mm256_maddubs_epi16(weights, broadcast(x[c].add(4 * group)));
                narrow[c] = _mm256_add_epi16(narrow[c], product);
            }
        }
    }
    for c in 0..C {
        sums[c] = _mm256_add_epi32(sums[c], _mm256_madd_epi16(narrow[c], _mm256_set1_epi16(1)));
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn unsigned<const C: usize, K: Codes, const OFFSET: i32, const MINIMUM: bool>(
    codes: *const u8,
    scales: *const u8,
    blocks: usize,
    rows: &[Row<'_>],
    out: &mut Tile,
) {
    let mut total = [_mm256_setzero_ps(); C];
    for b in 0..blocks {
        // SAFETY: there are `blocks` blocks of codes, of scales, and of each activation row.
        unsafe {
            let block = codes.add(b * K::BYTES);
            if C == 1 {
                ahead(K::FORMATS[usize::from(!MINIMUM)], codes, scales, b, blocks);
            }
            let mut x = [std::ptr::null(); C];
            for c in 0..C {
                x[c] = rows[c].codes.as_ptr().add(b * BLOCK);
            }
            let mut sums = [_mm256_setzero_si256(); C];
            let mut first = 0;
            while first < 8 {
                products::<C, K>(block, x, first, &mut sums);
                first += K::FLUSH;
            }
            let scale = halves(scales.add(b * if MINIMUM { 32 } else { 16 }));
            for c in 0..C {
                let row = &rows[c];
                if OFFSET != 0 {
                    let halves = row.halves.as_ptr().add(2 * b);
                    let offset = OFFSET * (*halves + *halves.add(1));
                    sums[c] = _mm256_sub_epi32(sums[c], _mm256_set1_epi32(offset));
                }
                let dot = _mm256_mul_ps(
                    _mm256_cvtepi32_ps(sums[c]),
                    _mm256_set1_ps(*row.scales.as_ptr().add(b)),
                );
                total[c] = _mm256_fmadd_ps(dot, scale, total[c]);
            }
            if MINIMUM {
                let minimum = halves(scales.add(b * 32 + 16));
                for c in 0..C {
                    let sum = _mm256_set1_ps(*rows[c].sums.as_ptr().add(b));
                    total[c] = _mm256_fmadd_ps(minimum, sum, total[c]);
                }
            }
        }
    }
    for c in 0..C {
        store(&mut out[c], total[c]);
    }
}

/// [`Format::U6`]: a scale for each half block.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn six<const C: usize>(
    codes: *const u8,
    scales: *const u8,
    blocks: usize,
    rows: &[Row<'_>],
    out: &mut Tile,
) {
    let mut total = [_mm256_setzero_ps(); C];
    for b in 0..blocks {
        if C == 1 {
            ahead(Format::U6, codes, scales, b, blocks);
        }
        for half in 0..2 {
            // SAFETY: there are `blocks` blocks of codes, of scales, and of each activation row.
            unsafe {
                let block = codes.add(b * Six::BYTES);
                let mut x = [std::ptr::null(); C];
                for c in 0..C {
                    x[c] = rows[c].codes.as_ptr().add(b * BLOCK);
                }
                let mut sums = [_mm256_setzero_si256(); C];
                products::<C, Six>(block, x, 4 * half, &mut sums);
                products::<C, Six>(block, x, 4 * half + 2, &mut sums);
                let scale = halves(scales.add(b * 32 + half * 16));
                for c in 0..C {
                    let offset = _mm256_set1_epi32(32 * *rows[c].halves.as_ptr().add(2 * b + half));
                    let dot = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums[c], offset));
                    let dot = _mm256_mul_ps(dot, _mm256_set1_ps(*rows[c].scales.as_ptr().add(b)));
                    total[c] = _mm256_fmadd_ps(dot, scale, total[c]);
                }
            }
        }
    }
    for c in 0..C {
        store(&mut out[c], total[c]);
    }
}

/// [`Format::I8`]: the weight's sign moves to the activation, so that one factor is unsigned. 2 · 128 · 127 fits 16 bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn signed<const C: usize>(
    codes: *const u8,
    scales: *const u8,
    blocks: usize,
    rows: &[Row<'_>],
    out: &mut Tile,
) {
    let mut total = [_mm256_setzero_ps(); C];
    for b in 0..blocks {
        // SAFETY: there are `blocks` blocks of codes, of scales, and of each activation row.
        unsafe {
            let mut sums = [_mm256_setzero_si256(); C];
            if C == 1 {
                ahead(Format::I8, codes, scales, b, blocks);
            }
            for group in 0..8 {
                let weights = _mm256_loadu_si256(codes.add(b * 256 + group * 32).cast());
                let magnitude = _mm256_abs_epi8(weights);
                for c in 0..C {
                    let x = broadcast(rows[c].codes.as_ptr().add(b * BLOCK + 4 * group));
                    let product = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, weights));
                    sums[c] =
                        _mm256_add_epi32(sums[c], _mm256_madd_epi16(product, _mm256_set1_epi16(1)));
                }
            }
            let scale = halves(scales.add(b * 16));
            for c in 0..C {
                let dot = _mm256_mul_ps(
                    _mm256_cvtepi32_ps(sums[c]),
                    _mm256_set1_ps(*rows[c].scales.as_ptr().add(b)),
                );
                total[c] = _mm256_fmadd_ps(dot, scale, total[c]);
            }
        }
    }
    for c in 0..C {
        store(&mut out[c], total[c]);
    }
}

/// Plain weights. Even and odd columns have sums of their own, which halves the chain of dependent
/// additions.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dense<const C: usize>(
    format: Format,
    columns: usize,
    weights: *const u8,
    rows: &[Row<'_>],
    out: &mut Tile,
) {
    // SAFETY: there are `columns` columns of 8 weights each, and `columns` activations in each row.
    unsafe {
        match format {
            Format::F16 => dense_loop::<C>(columns, rows, out, |k| halves(weights.add(k * 16))),
            Format::Bf16 => dense_loop::<C>(columns, rows, out, |k| {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(weights.add(k * 16).cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            }),
            _ => {
                dense_loop::<C>(columns, rows, out, |k| _mm256_loadu_ps(weights.add(k * 32).cast()))
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dense_loop<const C: usize>(
    columns: usize,
    rows: &[Row<'_>],
    out: &mut Tile,
    load: impl Fn(usize) -> __m256,
) {
    let mut even = [_mm256_setzero_ps(); C];
    let mut odd = [_mm256_setzero_ps(); C];
    for k in 0..columns / 2 {
        let (first, second) = (load(2 * k), load(2 * k + 1));
        for c in 0..C {
            // SAFETY: the row has `columns` values.
            let (x, y) = unsafe {
                let x = rows[c].plain.as_ptr().add(2 * k);
                (_mm256_set1_ps(*x), _mm256_set1_ps(*x.add(1)))
            };
            even[c] = _mm256_fmadd_ps(first, x, even[c]);
            odd[c] = _mm256_fmadd_ps(second, y, odd[c]);
        }
    }
    if columns % 2 == 1 {
        let last = load(columns - 1);
        for c in 0..C {
            even[c] = _mm256_fmadd_ps(last, _mm256_set1_ps(rows[c].plain[columns - 1]), even[c]);
        }
    }
    for c in 0..C {
        store(&mut out[c], _mm256_add_ps(even[c], odd[c]));
    }
}

/// See [`super::scalar::quantise`], with which it agrees bit for bit on finite values.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn quantise(
    plain: &[f32],
    codes: &mut [i8],
    scales: &mut [f32],
    sums: &mut [f32],
    halves: &mut [i32],
) {
    let blocks = plain.as_chunks::<BLOCK>().0;
    assert!(
        codes.len() >= blocks.len() * BLOCK
            && scales.len() >= blocks.len()
            && sums.len() >= blocks.len()
    );
    assert!(halves.len() >= 2 * blocks.len());
    for (b, block) in blocks.iter().enumerate() {
        let load = |i: usize| {
            // SAFETY: a block has four vectors.
            unsafe { _mm256_loadu_ps(block.as_ptr().add(8 * i)) }
        };
        let values = [load(0), load(1), load(2), load(3)];
        let sign = _mm256_set1_ps(-0.0);
        let absolute = values.map(|v| _mm256_andnot_ps(sign, v));
        let largest = _mm256_max_ps(
            _mm256_max_ps(absolute[0], absolute[1]),
            _mm256_max_ps(absolute[2], absolute[3]),
        );
        let largest =
            _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps::<1>(largest));
        let largest = _mm_max_ps(largest, _mm_movehl_ps(largest, largest));
        let largest = _mm_cvtss_f32(_mm_max_ss(largest, _mm_movehdup_ps(largest)));
        let scale = largest / 127.0;
        let inverse = _mm256_set1_ps(if largest > 0.0 { 127.0 / largest } else { 0.0 });
        let whole = values.map(|v| _mm256_cvtps_epi32(_mm256_mul_ps(v, inverse)));
        let low = horizontal(_mm256_add_epi32(whole[0], whole[1]));
        let high = horizontal(_mm256_add_epi32(whole[2], whole[3]));
        let packed = _mm256_packs_epi16(
            _mm256_packs_epi32(whole[0], whole[1]),
            _mm256_packs_epi32(whole[2], whole[3]),
        );
        // Packing works within 128-bit halves: put the eight groups of four in order again.
        let ordered =
            _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        // SAFETY: checked above.
        unsafe { _mm256_storeu_si256(codes.as_mut_ptr().add(b * BLOCK).cast(), ordered) };
        scales[b] = scale;
        #[allow(clippy::cast_precision_loss)]
        {
            sums[b] = scale * (low + high) as f32;
        }
        halves[2 * b] = low;
        halves[2 * b + 1] = high;
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn horizontal(sums: __m256i) -> i32 {
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let sums = _mm_add_epi32(sums, _mm_shuffle_epi32::<0b01_00_11_10>(sums));
    _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_shuffle_epi32::<0b00_00_00_01>(sums)))
}

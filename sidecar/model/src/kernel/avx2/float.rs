//! Dot products of floating-point weights with activations.
#![allow(unsafe_code, clippy::cast_possible_wrap, clippy::cast_possible_truncation)]

use super::registers::{load_f16, store};
use crate::kernel::activations::ActivationRow;
use crate::kernel::format::WeightFormat;
use crate::kernel::layout::Tile;
use std::arch::x86_64::*;

/// Even and odd columns are summed separately, which halves the chain of dependent additions.
///
/// # Safety
/// As [`super::tile`], with `C` rows of activations; `weights` points to one group.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn float<const C: usize>(
    format: WeightFormat,
    columns: usize,
    weights: *const u8,
    rows: &[ActivationRow<'_>],
    out: &mut Tile,
) {
    // SAFETY: there are `columns` columns of 8 weights each, and `columns` activations in each row.
    unsafe {
        match format {
            WeightFormat::F16 => {
                float_loop::<C>(columns, rows, out, |k| load_f16(weights.add(k * 16)));
            }
            WeightFormat::Bf16 => float_loop::<C>(columns, rows, out, |k| {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(weights.add(k * 16).cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            }),
            _ => {
                float_loop::<C>(columns, rows, out, |k| {
                    _mm256_loadu_ps(weights.add(k * 32).cast())
                });
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn float_loop<const C: usize>(
    columns: usize,
    rows: &[ActivationRow<'_>],
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
                let x = rows[c].values.as_ptr().add(2 * k);
                (_mm256_set1_ps(*x), _mm256_set1_ps(*x.add(1)))
            };
            even[c] = _mm256_fmadd_ps(first, x, even[c]);
            odd[c] = _mm256_fmadd_ps(second, y, odd[c]);
        }
    }
    if columns % 2 == 1 {
        let last = load(columns - 1);
        for c in 0..C {
            even[c] = _mm256_fmadd_ps(last, _mm256_set1_ps(rows[c].values[columns - 1]), even[c]);
        }
    }
    for c in 0..C {
        store(&mut out[c], _mm256_add_ps(even[c], odd[c]));
    }
}

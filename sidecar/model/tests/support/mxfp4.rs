//! MXFP4: 32 numbers of 4 bits, with one power of two as their scale.

use rand::Rng;
use rand::rngs::StdRng;

/// The numbers by their codes, as the specification lists them.
const NUMBERS: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];
/// Exponents of scales, which stand for powers of two from −6 on.
const EXPONENTS: std::ops::RangeInclusive<u8> = 121..=123;

/// Whether the tensor is a matrix of experts.
pub fn is_packed(name: &str) -> bool {
    ["ffn_gate", "ffn_up", "ffn_down"]
        .iter()
        .any(|part| name.contains(&format!(".{part}.")) || name.contains(&format!(".{part}_exps.")))
        && name.ends_with("weight")
}

fn power(exponent: u8) -> f32 {
    2.0_f32.powi(i32::from(exponent) - 127)
}

/// As many random numbers, in blocks.
pub fn values(count: usize, random: &mut StdRng) -> Vec<f32> {
    let block = |_| {
        let scale = power(random.random_range(EXPONENTS));
        std::array::from_fn::<f32, 32, _>(|_| scale * NUMBERS[random.random_range(0..16)])
    };
    (0..count / 32).flat_map(block).collect()
}

/// Exponent and codes of each block.
pub fn encoded(values: &[f32]) -> Vec<(u8, [u8; 32])> {
    let code = |value: f32, exponent: u8| {
        (0..16_u8).find(|&code| NUMBERS[usize::from(code)] * power(exponent) == value)
    };
    let block = |block: &[f32]| {
        let mut found = EXPONENTS.filter_map(|exponent| {
            let codes: Option<Vec<u8>> = block.iter().map(|&value| code(value, exponent)).collect();
            Some((exponent, codes?.try_into().unwrap()))
        });
        found.next().unwrap()
    };
    values.chunks(32).map(block).collect()
}

/// Blocks as GGUF files have them: the exponent, then codes of which the first half has the lower
/// bits.
pub fn blocks(values: &[f32]) -> Vec<u8> {
    let block = |(exponent, codes): (u8, [u8; 32])| {
        let pairs = (0..16).map(move |at| codes[at] | codes[at + 16] << 4);
        std::iter::once(exponent).chain(pairs)
    };
    encoded(values).into_iter().flat_map(block).collect()
}

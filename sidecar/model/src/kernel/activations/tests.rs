//! Quantization against the scalar reference.

use crate::kernel::quantize::scalar;
use crate::kernel::testing::random_activations;
use rand::SeedableRng;
use rand::rngs::StdRng;

#[test]
fn quantized_activations_are_the_scalar_reference_bit_for_bit() {
    let mut rng = StdRng::seed_from_u64(2);
    let activations = random_activations(3, 256, &mut rng);
    for row in (0..3).map(|row| activations.row(row)) {
        let (mut codes, mut scales, mut scaled_sums, mut half_sums) =
            (vec![0; 256], vec![0.0; 8], vec![0.0; 8], vec![0; 16]);
        scalar(row.values, &mut codes, &mut scales, &mut scaled_sums, &mut half_sums);
        assert_eq!(
            (row.codes, row.scales, row.scaled_sums, row.half_sums),
            (&codes[..], &scales[..], &scaled_sums[..], &half_sums[..])
        );
        for (value, (code, block)) in
            row.values.iter().zip(codes.iter().zip((0..256).map(|k| k / 32)))
        {
            assert!((value - f32::from(*code) * scales[block]).abs() <= scales[block] * 0.5001);
        }
    }
}

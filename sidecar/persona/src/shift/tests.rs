use super::*;

#[test]
fn a_shift_along_the_vector_is_measured_in_units_of_the_residual_stream() {
    let base = [[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]];
    let tuned = base.map(|[x, y]| [x + 3.0, y - 7.0]);
    let activations: Vec<(&[f32], &[f32])> =
        base.iter().zip(&tuned).map(|(a, b)| (a.as_slice(), b.as_slice())).collect();
    let shift = finetuning_shift(&activations, &[10.0, 0.0]).unwrap();
    assert_eq!((shift.mean, shift.error, shift.sigmas), (3.0, 0.0, 1.5));
    assert_eq!(finetuning_shift(&activations, &[0.0, 0.0]), None);
}

#[test]
fn number_9_a_number_that_is_none_is_no_shift_of_zero() {
    let base = [[0.0_f32, 1.0], [2.0, 1.0], [4.0, 1.0]];
    let of = |base: &[[f32; 2]], tuned: &[[f32; 2]], vector: [f32; 2]| {
        let pairs: Vec<(&[f32], &[f32])> =
            base.iter().zip(tuned).map(|(a, b)| (a.as_slice(), b.as_slice())).collect();
        finetuning_shift(&pairs, &vector)
    };
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (prompt, place) in [(0, 0), (1, 1), (2, 0)] {
            let mut broken = base;
            broken[prompt][place] = value;
            assert_eq!(of(&base, &broken, [1.0, 0.0]), None, "{value} in the tuned model");
            assert_eq!(of(&broken, &base, [1.0, 0.0]), None, "{value} in the base model");
        }
        assert_eq!(of(&base, &base, [value, 0.0]), None, "{value} in the vector");
    }
    // A base that does not vary gives no scale, and hides no shift.
    let flat = [[1.0_f32, 0.0]; 3];
    let moved = flat.map(|[x, y]| [x + 0.1, y]);
    assert_eq!(of(&flat, &flat, [1.0, 0.0]).unwrap().sigmas, 0.0);
    assert_eq!(of(&flat, &moved, [1.0, 0.0]).unwrap().sigmas, f64::INFINITY);
    assert_eq!(of(&moved, &flat, [1.0, 0.0]).unwrap().sigmas, f64::NEG_INFINITY);
}

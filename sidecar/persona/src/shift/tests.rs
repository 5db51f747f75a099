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

use super::*;

#[test]
fn directions_are_unit_vectors() {
    let tap = Tap::new(3, &[3.0, 0.0, 4.0]).unwrap();
    assert_eq!(tap.direction.as_ref(), [0.6, 0.0, 0.8]);
    assert_eq!(Tap::new(3, &[0.0; 3]), Err(VectorError::Zero));
    assert_eq!(Tap::new(3, &[f32::NAN]), Err(VectorError::NotFinite));
}

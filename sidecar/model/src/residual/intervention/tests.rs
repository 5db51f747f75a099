use super::*;

#[test]
fn a_cap_needs_floor_below_ceiling() {
    let cap = |floor, ceiling| Intervention::cap(1, &[1.0], floor, ceiling, Positions::All);
    assert!(cap(Some(1.0), Some(1.0)).is_ok() && cap(None, Some(-3.0)).is_ok());
    assert_eq!(
        cap(Some(2.0), Some(1.0)),
        Err(VectorError::FloorAboveCeiling { floor: 2.0, ceiling: 1.0 })
    );
    assert_eq!(cap(Some(f32::NAN), None), Err(VectorError::NotFinite));
}

use super::*;

#[test]
fn repetition_is_the_share_of_sequences_that_came_again() {
    assert_eq!(repetition(&[1; 15]), None);
    assert_eq!(repetition(&(0..40).collect::<Vec<_>>()), Some(0.0));
    assert!(repetition(&[7; 40]).unwrap() > 0.95);
    let twice: Vec<u32> = (0..20).chain(0..20).collect();
    assert!((repetition(&twice).unwrap() - 17.0 / 37.0).abs() < 1e-12);
}

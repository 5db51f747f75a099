use super::*;

#[test]
fn loops_and_silence_are_told_apart_from_answers() {
    assert_eq!(incoherence(&[1, 2]), Some(Incoherence::TooShort));
    assert_eq!(
        incoherence(&[5, 6, 7, 5, 6, 7, 5, 6, 7, 5, 6, 7, 5, 6, 7]),
        Some(Incoherence::Repetitive)
    );
    assert_eq!(incoherence(&[5, 6, 7, 5, 6, 8, 9, 5, 10, 6, 11]), None);
}

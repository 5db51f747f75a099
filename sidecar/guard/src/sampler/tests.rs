use super::*;

#[test]
fn the_first_and_every_nth_response_is_taken() {
    let every = Sampling { every: Some(3), fraction: None };
    assert_eq!(
        (0..7).map(|number| is_taken(every, number, 0.0)).collect::<Vec<_>>(),
        [true, false, false, true, false, false, true]
    );
}

#[test]
fn a_fraction_is_taken_by_chance() {
    let tenth = Sampling { every: None, fraction: Some(0.1) };
    assert!(is_taken(tenth, 5, 0.05) && !is_taken(tenth, 0, 0.1));
    let all = Sampling { every: None, fraction: Some(1.0) };
    assert!(is_taken(all, 5, 0.999_999));
}

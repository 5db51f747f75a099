use super::*;

#[test]
fn a_line_correlates_fully() {
    let line: Vec<_> = (0..5).map(|i| (f64::from(i), 3.0 - 2.0 * f64::from(i))).collect();
    assert_eq!(pearson(&line), Some(-1.0));
    assert_eq!(pearson(&line[..1]), None);
}

#[test]
fn the_first_set_of_anscombes_quartet() {
    let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
    let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
    let r = pearson(&x.into_iter().zip(y).collect::<Vec<_>>()).unwrap();
    assert!((r - 0.816_420_5).abs() < 1e-6, "{r}");
}

#[test]
fn a_shift_between_groups_does_not_count_within_them() {
    let groups = vec![vec![(0.0, 1.0), (1.0, 0.0)], vec![(10.0, 11.0), (11.0, 10.0)]];
    assert_eq!(pearson_within(&groups), Some(-1.0));
    assert!(pearson(&groups.concat()).unwrap() > 0.9);
}

use super::*;

#[test]
fn the_numbers_stay_the_same_across_versions() {
    let mut stream = RandomStream::new(7, 1);
    let drawn: Vec<usize> = (0..6).map(|_| stream.below(1000)).collect();
    assert_eq!(drawn, [130, 364, 881, 477, 795, 766]);
}

#[test]
fn normal_numbers_have_the_moments_of_a_normal_distribution() {
    let mut stream = RandomStream::new(1, 0);
    let n = 200_000;
    let drawn: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
    let moment = |power: i32| drawn.iter().map(|x| x.powi(power)).sum::<f64>() / f64::from(n);
    assert!(moment(1).abs() < 0.01, "{}", moment(1));
    assert!((moment(2) - 1.0).abs() < 0.015, "{}", moment(2));
    assert!((moment(4) - 3.0).abs() < 0.1, "{}", moment(4));
}

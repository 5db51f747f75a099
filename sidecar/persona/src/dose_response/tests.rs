use super::*;

fn answer(response_avg: f64, likelihood_ratio: f64) -> SteeredAnswer {
    SteeredAnswer { response_avg, likelihood_ratio }
}

#[test]
fn min_z_is_that_of_the_least_certain_step() {
    let answers = |a: f64, b: f64, ratio: f64| vec![answer(a, ratio), answer(b, ratio)];
    // Steps of 1 and 3, then of 2 and 2: both have the mean 2, the first a standard error of 1. The
    // ratios have no error at all.
    let z = min_z(&[answers(0.0, 0.0, 0.0), answers(1.0, 3.0, 1.0), answers(3.0, 5.0, 2.0)]);
    assert!((z.unwrap() - 2.0).abs() < 1e-9, "{z:?}");
    assert!(min_z(&[answers(0.0, 0.0, 0.0), answers(1.0, 3.0, -1.0)]).unwrap() < 0.0);
    assert_eq!(min_z(&[answers(0.0, 0.0, 0.0)]), None);
}

#[test]
fn min_z_of_both_measures_is_no_greater_than_that_of_one() {
    let answers =
        |a: f64, b: f64, ratios: (f64, f64)| vec![answer(a, ratios.0), answer(b, ratios.1)];
    let both = [
        answers(0.0, 0.0, (0.0, 0.0)),
        answers(1.0, 3.0, (0.1, 0.5)),
        answers(3.0, 5.5, (0.2, 0.9)),
    ];
    let alone = |measure: fn(&SteeredAnswer) -> f64| {
        let alone = both.iter().map(|answers| {
            answers.iter().map(|it| answer(measure(it), measure(it))).collect::<Vec<_>>()
        });
        min_z(&alone.collect::<Vec<_>>()).unwrap()
    };
    let by_projection = alone(|answer| answer.response_avg);
    let by_likelihood = alone(|answer| answer.likelihood_ratio);
    assert_eq!(min_z(&both).unwrap(), by_projection.min(by_likelihood));
}

#[test]
fn a_dose_response_is_monotonic_only_if_both_measures_rise_at_each_step() {
    let point = |coefficient: f64, score: f64, ratio: f64| {
        SteeringPoint::from_answers(
            coefficient,
            &[answer(score - 1.0, ratio), answer(score + 1.0, ratio)],
        )
    };
    let (low, middle, high) = (point(-1.0, 1.0, -0.2), point(0.0, 2.0, -0.1), point(1.0, 3.0, 0.1));
    assert_eq!((middle.response_avg, middle.answers), (2.0, 2));
    assert_eq!(is_monotonic(&[low, middle, high]), Some(true));
    assert_eq!(is_monotonic(&[low, point(0.0, 0.5, -0.1), high]), Some(false));
    assert_eq!(is_monotonic(&[low, point(0.0, 2.0, 0.1), high]), Some(false));
    assert_eq!(is_monotonic(&[low]), None);
}

#[test]
fn number_9_a_measure_that_is_no_number_is_no_rise() {
    let answers = |a: f64, ratio: f64| vec![answer(a, ratio), answer(a + 0.1, ratio + 0.1)];
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for step in
            [[answers(value, 0.0), answers(1.0, 1.0)], [answers(0.0, 0.0), answers(1.0, value)]]
        {
            assert_eq!(min_z(&step), None, "{value}");
        }
    }
    let points = [0.0, f64::NAN].map(|measure| SteeringPoint {
        coefficient: measure,
        response_avg: measure,
        likelihood_ratio: measure,
        answers: 1,
    });
    assert_eq!(is_monotonic(&points), Some(false));
}

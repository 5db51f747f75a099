use super::*;
use proptest::prelude::*;

fn of(scores: &[f64]) -> Sketch {
    let mut sketch = Sketch::default();
    scores.iter().for_each(|score| sketch.add(*score));
    sketch
}

/// How far the fraction of `scores` at or below the sketch's quantile is from `q`.
#[allow(clippy::cast_precision_loss)]
fn rank_error(sketch: &Sketch, scores: &[f64], q: f64) -> f64 {
    let found = sketch.quantile(q).unwrap();
    let n = scores.len() as f64;
    let (below, at) = (
        scores.iter().filter(|s| **s < found).count(),
        scores.iter().filter(|s| **s <= found).count(),
    );
    // Ties: any rank among them is right.
    (below as f64 / n - q).max(q - at as f64 / n).max(0.0)
}

/// What a centroid at `q` spans, and one score.
#[allow(clippy::cast_precision_loss)]
fn allowed(n: usize, q: f64) -> f64 {
    let n = n as f64;
    (4.0 * (n / COMPRESSION).ln().max(0.0) + 24.0) / COMPRESSION * q * (1.0 - q) + 2.0 / n
}

/// Uniform in [0, 1), from a seed.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    #[allow(clippy::cast_precision_loss)]
    let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
    unit
}

/// Normal, by Box and Muller.
fn normal(state: &mut u64) -> f64 {
    let (u, v) = (1.0 - uniform(state), uniform(state));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn quantiles_are_as_sharp_as_promised_however_the_scores_are_spread_and_merged(
        seed in any::<u64>(),
        n in 2_usize..3000,
        parts in 1_usize..9,
        skew in 0.2..4.0_f64,
        sorted in any::<bool>(),
    ) {
        let mut state = seed;
        let skewed = |z: f64| z.signum() * z.abs().powf(skew);
        let mut scores: Vec<f64> = (0..n).map(|_| skewed(normal(&mut state))).collect();
        if sorted {
            scores.sort_by(f64::total_cmp);
        }
        let pieces: Vec<_> = scores.chunks(n.div_ceil(parts)).map(of).collect();
        let merge = |pieces: &mut dyn Iterator<Item = &Sketch>| {
            let mut all = Sketch::default();
            pieces.for_each(|piece| all.merge(piece));
            all
        };
        for sketch in [merge(&mut pieces.iter()), merge(&mut pieces.iter().rev())] {
            prop_assert!(sketch.validate().is_ok());
            prop_assert_eq!(sketch.count(), n as u64);
            for q in [0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0] {
                let (error, allowed) = (rank_error(&sketch, &scores, q), allowed(n, q));
                prop_assert!(error <= allowed, "{} at {} of {}: allowed {}", error, q, n, allowed);
            }
            let mean = scores.iter().sum::<f64>() / n as f64;
            let squares = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>();
            let deviation = (squares / (n as f64 - 1.0)).sqrt();
            prop_assert!((sketch.mean() - mean).abs() < 1e-6 * (1.0 + mean.abs()));
            let found = sketch.standard_deviation();
            prop_assert!((found - deviation).abs() < 1e-6 * (1.0 + deviation));
        }
    }

    #[test]
    fn few_scores_are_kept_exactly(
        scores in prop::collection::vec(-50.0..50.0_f64, 1..MAX_CENTROIDS),
        q in 0.0..1.0_f64,
    ) {
        let mut sorted = scores.clone();
        sorted.sort_by(f64::total_cmp);
        let position = q * (sorted.len() - 1) as f64;
        let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
        let expected = low + (high - low) * position.fract();
        prop_assert!((of(&scores).quantile(q).unwrap() - expected).abs() < 1e-9);
    }
}

#[test]
fn the_false_positive_rate_on_held_out_scores_lies_in_its_confidence_interval() {
    // Over many calibrations of 1,000 answers the rate past the 0.99 quantile averages 1%, and
    // spreads as the sampling of an exact order statistic does: √(q(1−q)/n).
    let (runs, n, q) = (200_u32, 1000_u32, 0.99);
    let mut state = 1;
    let rates: Vec<f64> = (0..runs)
        .map(|_| {
            let mut sketch = Sketch::default();
            (0..n).for_each(|_| sketch.add(normal(&mut state)));
            let threshold = sketch.quantile(q).unwrap();
            let past = (0..2 * n).filter(|_| normal(&mut state) > threshold).count();
            #[allow(clippy::cast_precision_loss)]
            let rate = past as f64 / f64::from(2 * n);
            rate
        })
        .collect();
    let mean = rates.iter().sum::<f64>() / f64::from(runs);
    // Of the calibration and of the held-out draws.
    let spread = (q * (1.0 - q) * (1.0 / f64::from(n) + 1.0 / f64::from(2 * n))).sqrt();
    let bias = 2.0 / f64::from(n);
    assert!((mean - (1.0 - q)).abs() < 3.0 * spread / f64::from(runs).sqrt() + bias, "{mean}");
    let within =
        rates.iter().filter(|rate| (**rate - (1.0 - q)).abs() < 2.58 * spread + bias).count();
    assert!(within >= 190, "{within} of {runs} rates lie within the 99% interval");
}

#[test]
fn a_million_scores_take_no_more_room_than_a_thousand() {
    let mut sketch = of(&[0.0, 1.0]);
    for _ in 0..40 {
        let same = sketch.clone();
        sketch.merge(&same);
        assert!(sketch.centroids.len() <= MAX_CENTROIDS);
    }
    let mut state = 7;
    let mut growing = Sketch::default();
    for _ in 0..17 {
        let mut more = growing.clone();
        (0..100).for_each(|_| more.add(normal(&mut state)));
        growing.merge(&more);
        assert!(growing.centroids.len() <= MAX_CENTROIDS && growing.validate().is_ok());
    }
    assert!(growing.count() > 1_000_000);
}

#[test]
fn what_cannot_be_a_sketch_is_invalid() {
    let read = |text: &str| serde_json::from_str::<Sketch>(text).unwrap().validate().is_ok();
    let of = |centroids: &str| {
        format!("{{\"sumSquaredDeviations\": 1.0, \"centroids\": [{centroids}]}}")
    };
    assert!(read(&of("{\"mean\": -1.0, \"count\": 1}, {\"mean\": 2.0, \"count\": 3}")));
    assert!(
        !read(&of("{\"mean\": 2.0, \"count\": 1}, {\"mean\": -1.0, \"count\": 3}")),
        "out of order"
    );
    assert!(!read(&of("{\"mean\": 2.0, \"count\": 0}")), "a centroid of nothing");
    assert!(!read(&of("{\"mean\": 1e200, \"count\": 1}")), "no projection");
    assert!(
        !read(&of(&format!("{{\"mean\": 1.0, \"count\": {}}}", u64::MAX))),
        "more than there can be"
    );
    assert!(
        !read(&of(&vec!["{\"mean\": 1.0, \"count\": 1}"; MAX_CENTROIDS + 1].join(","))),
        "too long"
    );
    assert!(!read("{\"sumSquaredDeviations\": -1.0, \"centroids\": []}"));
    assert!(
        serde_json::from_str::<Sketch>(&of("{\"mean\": 1.0, \"count\": 1, \"text\": \"hello\"}"))
            .is_err()
    );
    let mut nan = Sketch::default();
    nan.add(f64::NAN);
    assert_eq!((nan.count(), nan.quantile(0.5)), (0, None));
}

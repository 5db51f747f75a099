use super::*;
use half::f16;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn random(count: usize, rng: &mut StdRng) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

#[test]
fn blocks_in_turn_give_the_softmax_over_all_tokens() {
    let mut rng = StdRng::seed_from_u64(4);
    for (width, count, cap, sink) in [
        (8, 1, None, None),
        (64, 3, Some(2.0), Some(-0.5)),
        (24, 5, None, Some(4.0)),
        (128, 6, None, None),
        (16, 2, Some(0.5), None),
    ] {
        let queries = random(count * width, &mut rng);
        let tokens = 3 * BLOCK_SIZE;
        // `[token][value]` in f16, as the cache would round them.
        let round =
            |values: Vec<f32>| -> Vec<f16> { values.into_iter().map(f16::from_f32).collect() };
        let (keys, values) =
            (round(random(tokens * width, &mut rng)), round(random(tokens * width, &mut rng)));
        let visible: Vec<(usize, usize)> = (0..count).map(|m| (3 * m, 70 + m)).collect();
        let mut states = vec![SoftmaxState::new(sink); count];
        let mut out = vec![0.0; count * width];
        for block in 0..3 {
            let first = block * BLOCK_SIZE;
            let mut transposed = vec![f16::ZERO; width * BLOCK_SIZE];
            for token in 0..BLOCK_SIZE {
                for d in 0..width {
                    transposed[d * BLOCK_SIZE + token] = keys[(first + token) * width + d];
                }
            }
            let mut block_values = values[first * width..][..BLOCK_SIZE * width].to_vec();
            if block == 2 {
                // Values that no query sees may be anything.
                block_values[(70 + count) * width - first * width..].fill(f16::NAN);
            }
            let clip = |at: usize| at.saturating_sub(first).min(BLOCK_SIZE);
            let ranges: Vec<_> = visible.iter().map(|&(a, b)| (clip(a), clip(b))).collect();
            attend_block(
                width,
                cap,
                &queries,
                &transposed,
                &block_values,
                &ranges,
                &mut states,
                &mut out,
            );
        }
        for m in 0..count {
            states[m].finish(&mut out[m * width..][..width]);
            let range = visible[m].0..visible[m].1;
            let score = |t: usize| -> f64 {
                let score = (0..width)
                    .map(|d| f64::from(queries[m * width + d]) * keys[t * width + d].to_f64())
                    .sum();
                cap.map(f64::from).map_or(score, |cap| cap * (score / cap).tanh())
            };
            let nothing = sink.map_or(0.0, |sink| f64::from(sink).exp());
            let weight: f64 = range.clone().map(|t| score(t).exp()).sum::<f64>() + nothing;
            for d in 0..width {
                let expected: f64 = range
                    .clone()
                    .map(|t| score(t).exp() * values[t * width + d].to_f64())
                    .sum::<f64>()
                    / weight;
                assert!(
                    (f64::from(out[m * width + d]) - expected).abs() < 1e-5,
                    "{width} × {count}"
                );
            }
        }
    }
}

#[test]
fn kernels_agree_with_the_scalar_reference() {
    agree::<f16>();
    agree::<f32>();
}

fn agree<T: CacheValue>() {
    let mut rng = StdRng::seed_from_u64(5);
    for (width, count) in [(8, 1), (40, 2), (64, 3), (64, 4), (128, 5), (80, 6)] {
        let queries = random(count * width, &mut rng);
        let cached: Vec<T> =
            random(width * BLOCK_SIZE, &mut rng).into_iter().map(T::from_f32).collect();
        let (mut found, mut expected) =
            ([[0.0; BLOCK_SIZE]; MAX_QUERIES], [[0.0; BLOCK_SIZE]; MAX_QUERIES]);
        scores(width, &queries, &cached, &mut found[..count]);
        scores_scalar(width, &queries, &cached, &mut expected[..count]);
        for (found, expected) in found.as_flattened().iter().zip(expected.as_flattened()) {
            assert!((found - expected).abs() < 1e-4);
        }
        let (mut sums, mut sums_expected) = (queries.clone(), queries.clone());
        accumulate(width, &found[..count], &cached, 29, &mut sums);
        accumulate_scalar(width, &found[..count], &cached, 29, &mut sums_expected);
        for (found, expected) in sums.iter().zip(sums_expected) {
            assert!((found - expected).abs() < 1e-3);
        }
    }
}

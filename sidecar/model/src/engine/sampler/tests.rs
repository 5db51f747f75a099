use super::*;

fn sample(sampling: &Sampling, logits: &[f32], draws: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(Sampling { seed: Some(7), ..sampling.clone() }, 0, None, &[]);
    (0..draws).map(|_| sampler.sample(logits, &[]).unwrap().id).collect()
}

#[test]
fn greedy_takes_the_largest_and_reports_the_models_own_probabilities() {
    let mut sampler =
        Sampler::new(Sampling { frequency_penalty: 2.0, ..Sampling::default() }, 2, None, &[]);
    let logits = [1.0, 3.0, 2.0];
    let choice = sampler.sample(&logits, &[]).unwrap();
    let norm = (1_f32.exp() + 2_f32.exp() + 3_f32.exp()).ln();
    assert_eq!(choice.id, 1);
    assert!((choice.logprob - (3.0 - norm)).abs() < 1e-5);
    assert_eq!(choice.top.iter().map(|top| top.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(sampler.sample(&logits, &[]).unwrap().id, 2, "the penalty moves on to the next");
}

#[test]
fn samples_follow_the_distribution_and_the_seed() {
    let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
    let logits = [0.5_f32.ln(), 0.3_f32.ln(), 0.2_f32.ln()];
    let tokens = sample(&sampling, &logits, 20_000);
    assert_eq!(tokens, sample(&sampling, &logits, 20_000));
    for (token, share) in [(0, 0.5), (1, 0.3), (2, 0.2)] {
        let found = tokens.iter().filter(|&&t| t == token).count() as f64 / 20_000.0;
        assert!((found - share).abs() < 0.02, "{token}: {found}");
    }
}

#[test]
fn truncation_keeps_only_likely_tokens() {
    let hot = Sampling { temperature: 1.0, ..Sampling::default() };
    let logits: Vec<f32> = [0.4_f32, 0.3, 0.2, 0.1].map(f32::ln).into();
    let most = |sampling: Sampling| sample(&sampling, &logits, 500).into_iter().max().unwrap();
    assert_eq!(most(hot.clone()), 3);
    assert_eq!(most(Sampling { top_k: Some(2), ..hot.clone() }), 1);
    assert_eq!(most(Sampling { top_p: 0.65, ..hot.clone() }), 1);
    assert_eq!(most(Sampling { top_p: 0.01, ..hot.clone() }), 0);
    assert_eq!(most(Sampling { min_p: 0.45, ..hot }), 2);
}

#[test]
fn logits_that_are_not_finite_are_refused() {
    let mut sampler = Sampler::new(Sampling::default(), 0, None, &[]);
    assert_eq!(sampler.sample(&[f32::NAN; 16], &[]), Err(EngineError::NotFinite));
    assert_eq!(sampler.sample(&[f32::INFINITY; 16], &[]), Err(EngineError::NotFinite));
}

/// Greedy choices of tokens 0, 1 and 2, of which 1 is the model's end, after a prompt.
fn greedy(sampling: Sampling, logits: &[f32], prompt: &[u32], steps: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(sampling, 0, None, prompt);
    (0..steps).map(|_| sampler.sample(logits, &[1]).unwrap().id).collect()
}

#[test]
fn a_bias_moves_a_token_and_bars_one() {
    let biased = |logit_bias| Sampling { logit_bias, ..Sampling::default() };
    assert_eq!(greedy(biased(vec![(0, 100.0)]), &[1.0, 3.0, 2.0], &[], 1), [0]);
    assert_eq!(greedy(biased(vec![(1, -100.0)]), &[1.0, 3.0, 2.0], &[], 1), [2]);
    assert_eq!(greedy(biased(vec![(1, f32::NEG_INFINITY)]), &[1.0, 3.0, 2.0], &[], 1), [2]);
}

#[test]
fn repetition_counts_in_prompt_and_response_on_both_sides_of_zero() {
    let penalized = || Sampling { repetition_penalty: 2.0, ..Sampling::default() };
    // 3 becomes 1.5 once it stands in the prompt; then 2 becomes 1 once it was written.
    assert_eq!(greedy(penalized(), &[1.2, 3.0, 2.0], &[1], 2), [2, 1]);
    assert_eq!(greedy(penalized(), &[-2.0, -1.0, -1.5], &[1], 2), [2, 0]);
    assert_eq!(greedy(Sampling::default(), &[1.2, 3.0, 2.0], &[1], 2), [1, 1]);
}

#[test]
fn no_end_comes_too_early_or_at_all() {
    let logits = [1.0, 3.0, 2.0];
    let early = Sampling { min_tokens: 2, ..Sampling::default() };
    assert_eq!(greedy(early, &logits, &[], 3), [2, 2, 1]);
    let never = Sampling { ignore_end: true, ..Sampling::default() };
    assert_eq!(greedy(never.clone(), &logits, &[], 3), [2, 2, 2]);
    // Where nothing else is left, it ends.
    assert_eq!(greedy(never, &[f32::NEG_INFINITY, 3.0, f32::NEG_INFINITY], &[], 1), [1]);
    let stops = Sampling { stop_tokens: vec![2], min_tokens: 1, ..Sampling::default() };
    assert_eq!(greedy(stops.clone(), &logits, &[], 2), [0, 1]);
    let sampler = Sampler::new(stops, 0, None, &[]);
    assert!(sampler.is_end(2, &[1]) && sampler.is_end(1, &[1]) && !sampler.is_end(0, &[1]));
}

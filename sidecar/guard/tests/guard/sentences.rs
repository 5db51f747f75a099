//! What leaves of a response that is cut by the sentence.

use crate::cases::reads;
use crate::fixtures::{plan, redact};
use personaguard_guard::{Decision, Holdback, Section, Sentences, Stop};
use personaguard_terms::EvidenceWindow;
use proptest::prelude::*;

const PIECES: [&str; 9] = [" a", "b", ".", "!", " ", "\n", "", ". C", "。"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// With `Redact`, text is cut where a sentence begins, and nothing of the breaching one leaves.
    #[test]
    fn invariant_1_of_a_breaching_sentence_nothing_leaves(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 1..30),
        at in 0..30_usize,
        reads in reads(),
    ) {
        let at = at % pieces.len();
        let mut policy = redact(1.0);
        policy.evidence.window = Some(EvidenceWindow { past: 1, of_last: 1 });
        let mut decision = Decision::new(plan(&[policy]));
        decision.add_prompt(&[0.0]);
        let (mut held, mut sentences) = (Holdback::default(), Sentences::default());
        let mut left = Vec::new();
        for (index, piece) in pieces.iter().enumerate().take(at + 1) {
            decision.add_token(&[if index == at { 2.0 } else { 0.0 }], Section::Unknown);
            held.push(index);
            sentences.push(piece);
            let limit = sentences.floor(decision.releasable(held.pushed()));
            while let Some(piece) = (reads[index] || index == at)
                .then(|| held.release(limit))
                .flatten()
            {
                left.push(piece);
            }
        }
        prop_assert_eq!(decision.stop(), Some(Stop::Redacted));
        prop_assert_eq!(&left, &(0..left.len()).collect::<Vec<_>>());
        prop_assert!(left.len() <= at);
        // What left are whole sentences, and the one after them is the breaching one.
        prop_assert_eq!(sentences.floor(left.len()), left.len());
        prop_assert_eq!(sentences.floor(at), left.len());
    }
}

//! Which pairs of answers make the vector if there is a judge: those that it confirms.

use super::journal::{Journal, Rating};
use super::judge::{CONCURRENCY, Judge};
use super::request::Purpose;
use super::scored_answer::ScoredAnswer;
use crate::engine::LabEngine;
use crate::error::{LabError, Result};
use crate::progress::Progress;
use futures::{StreamExt as _, stream};
use personaguard_persona::extraction::{Judgement, Pair, SampleKey};
use std::collections::BTreeSet;

/// Has a judge rate the answers to extraction questions that it has not rated yet. Ratings go to
/// the journal, because a judge costs money.
///
/// # Errors
/// If the judge's endpoint fails, or the journal cannot be written.
pub(super) async fn rate(
    engine: &LabEngine,
    judge: &Judge<'_>,
    answers: &[ScoredAnswer],
    journal: &mut Journal,
) -> Result<()> {
    let unrated: Vec<&ScoredAnswer> = answers
        .iter()
        .filter(|answer| matches!(answer.request.purpose, Purpose::Extract(..)))
        .filter(|answer| journal.rating(&answer.request.purpose.name(), judge.model()).is_none())
        .collect();
    if unrated.is_empty() {
        return Ok(());
    }
    let bar = Progress::start("Judging answers", unrated.len());
    let mut ratings = stream::iter(unrated)
        .map(|answer| async move {
            let text = engine.decode(&answer.tokens).await?;
            let judgement = judge.judge(&answer.request.question, &text).await?;
            Ok::<_, LabError>((answer.request.purpose.name(), judgement))
        })
        .buffer_unordered(CONCURRENCY);
    while let Some(rated) = ratings.next().await {
        let (name, judgement) = rated?;
        let rating = Rating {
            judge: judge.model().to_owned(),
            trait_score: judgement.map(|judgement| judgement.trait_score),
            coherence: judgement.map(|judgement| judgement.coherence),
        };
        journal.add_rating(name, rating)?;
        bar.step();
    }
    bar.finish();
    Ok(())
}

/// The pairs of which the judge confirmed both answers.
pub(super) fn confirmed<'a>(
    judge: &Judge<'_>,
    answers: &[ScoredAnswer],
    pairs: &[Pair<'a>],
    journal: &Journal,
) -> Vec<Pair<'a>> {
    let judgement = |name: &str| {
        let rating = journal.rating(name, judge.model())?;
        Some(Judgement { trait_score: rating.trait_score?, coherence: rating.coherence? })
    };
    let refused: BTreeSet<SampleKey> = answers
        .iter()
        .filter_map(|answer| {
            let Purpose::Extract(polarity, key) = answer.request.purpose else { return None };
            let confirmed = judgement(&answer.request.purpose.name())
                .is_some_and(|judgement| judgement.confirms(polarity));
            (!confirmed).then_some(key)
        })
        .collect();
    pairs.iter().copied().filter(|(positive, _)| !refused.contains(&positive.key)).collect()
}

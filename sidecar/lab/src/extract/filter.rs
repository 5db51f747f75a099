//! Which pairs of answers make the vector, where there is a judge: those that it confirms.

use super::journal::{Journal, Rating};
use super::judge::{AT_ONCE, Judge};
use super::plan::Purpose;
use super::progress::Progress;
use super::responder::Read;
use futures::{StreamExt as _, stream};
use personaguard_model::Engine;
use personaguard_persona::extraction::{Judgement, Pair, SampleKey};
use std::collections::BTreeSet;

/// Has a judge rate answers to the extraction questions, those that it has not rated yet. What it
/// says is kept in the journal: a judge costs money.
///
/// # Errors
/// If the judge's endpoint fails, or the journal cannot be written.
pub(super) async fn rate(
    engine: &Engine,
    judge: &Judge<'_>,
    reads: &[Read],
    journal: &mut Journal,
) -> anyhow::Result<()> {
    let open: Vec<&Read> = reads
        .iter()
        .filter(|read| matches!(read.ask.purpose, Purpose::Extract(..)))
        .filter(|read| journal.rating(&read.ask.purpose.name(), judge.model()).is_none())
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let bar = Progress::start("Judging answers", open.len());
    let mut ratings = stream::iter(open)
        .map(|read| async move {
            let text = engine.model().tokenizer().decode(&read.tokens);
            anyhow::Ok((read.ask.purpose.name(), judge.judge(&read.ask.question, &text).await?))
        })
        .buffer_unordered(AT_ONCE);
    while let Some(rated) = ratings.next().await {
        let (name, verdict) = rated?;
        let rating = Rating {
            judge: judge.model().to_owned(),
            shows: verdict.map(|verdict| verdict.trait_score),
            coherence: verdict.map(|verdict| verdict.coherence),
        };
        journal.rate(name, rating)?;
        bar.step();
    }
    bar.finish();
    Ok(())
}

/// The pairs whose both answers a judge confirmed.
pub(super) fn confirmed<'a>(
    judge: &Judge<'_>,
    reads: &[Read],
    pairs: &[Pair<'a>],
    journal: &Journal,
) -> Vec<Pair<'a>> {
    let refused: BTreeSet<SampleKey> = reads
        .iter()
        .filter_map(|read| {
            let Purpose::Extract(polarity, key) = read.ask.purpose else { return None };
            let rating = journal.rating(&read.ask.purpose.name(), judge.model());
            let verdict = rating.and_then(|rating| {
                Some(Judgement { trait_score: rating.shows?, coherence: rating.coherence? }) //
            });
            (!verdict.is_some_and(|verdict| verdict.confirms(polarity))).then_some(key)
        })
        .collect();
    pairs.iter().copied().filter(|(positive, _)| !refused.contains(&positive.key)).collect()
}

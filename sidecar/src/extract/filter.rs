//! Which pairs of answers make the vector, where there is a judge: those that it confirms.

use super::judge::{AT_ONCE, Judge};
use super::plan::Purpose;
use super::progress::Progress;
use super::responder::Read;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use personaguard_model::Engine;
use personaguard_persona::extraction::{Pair, SampleKey};
use std::collections::BTreeSet;

/// The pairs whose both answers a judge confirms.
///
/// # Errors
/// If the judge's endpoint fails.
pub(super) async fn confirmed<'a>(
    engine: &Engine,
    judge: &Judge<'_>,
    reads: &[Read],
    pairs: &[Pair<'a>],
) -> anyhow::Result<Vec<Pair<'a>>> {
    let bar = Progress::start("Judging answers", reads.len());
    let refused: Vec<Option<SampleKey>> = stream::iter(reads)
        .map(|read| {
            let bar = &bar;
            async move {
                let Purpose::Extract(polarity, key) = read.ask.purpose else { return Ok(None) };
                let text = engine.model().tokenizer().decode(&read.tokens);
                let verdict = judge.judge(&read.ask.question, &text).await?;
                bar.step();
                anyhow::Ok((!verdict.is_some_and(|verdict| verdict.confirms(polarity))).then_some(key))
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    bar.finish();
    let refused: BTreeSet<SampleKey> = refused.into_iter().flatten().collect();
    Ok(pairs.iter().copied().filter(|(positive, _)| !refused.contains(&positive.key)).collect())
}

//! One page about a screened data set.

use super::chart::histograms;
use super::html::{escape, page, table};
use crate::screening::Ranked;
use crate::stats::{mean, quantile, standard_deviation};

/// Samples that the page lists.
const LISTED: usize = 50;

/// What a page shows: for each trait its ranked samples.
#[derive(Clone, Copy, Debug)]
pub struct ScreeningPage<'a> {
    /// Name of the data set.
    pub name: &'a str,
    /// What answers were compared with.
    pub reference: &'a str,
    /// Traits with their samples in order of their ranks.
    pub traits: &'a [(&'a str, &'a [Ranked])],
}

impl ScreeningPage<'_> {
    /// The page. It names samples by their lines and holds no text of theirs.
    #[must_use]
    pub fn render(&self) -> String {
        let sections: String =
            self.traits.iter().map(|(name, ranked)| section(name, ranked)).collect();
        let body = format!(
            "<h1>{}</h1><p>Projection difference of each sample: how much further along the trait its answer lies than the \
             reference, {}. Look at the samples at the top before you train on them.</p>{sections}",
            escape(self.name),
            escape(self.reference),
        );
        page(self.name, &body)
    }
}

fn section(name: &str, ranked: &[Ranked]) -> String {
    let differences: Vec<f64> = ranked.iter().rev().map(|one| one.sample.difference).collect();
    if differences.is_empty() {
        return String::new();
    }
    let outlying = quantile(&differences, 0.75)
        + 1.5 * (quantile(&differences, 0.75) - quantile(&differences, 0.25));
    let (past, within): (Vec<f64>, Vec<f64>) =
        differences.iter().partition(|difference| **difference > outlying);
    let rows: Vec<Vec<String>> = ranked
        .iter()
        .take(LISTED)
        .map(|one| {
            let difference = format!("{:.3}", one.sample.difference);
            vec![
                one.rank.to_string(),
                one.sample.line.to_string(),
                difference,
                format!("{:.1}%", 100.0 * one.percentile),
            ]
        })
        .collect();
    format!(
        "<h2>{}</h2>{}<p>{} samples: mean {:.3}, standard deviation {:.3}; {} lie past the upper fence (third quartile plus \
         1.5 times the interquartile range).</p>{}",
        escape(name),
        histograms(
            "Projection difference",
            [("past the fence", "var(--pos)", &past), ("within", "var(--neg)", &within)],
            &[(outlying, "fence")]
        ),
        differences.len(),
        mean(&differences),
        if differences.len() > 1 { standard_deviation(&differences) } else { 0.0 },
        past.len(),
        table(&["Rank", "Line", "Difference", "Above"], &rows, None),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screening::{Screened, rank};

    #[test]
    fn the_page_lists_the_greatest_differences_and_no_markup_of_others() {
        let mut samples: Vec<Screened> =
            (1..=100).map(|line| Screened { line, difference: (line % 7) as f64 / 10.0 }).collect();
        samples.push(Screened { line: 101, difference: 9.0 });
        let ranked = rank(&samples);
        let page = ScreeningPage {
            name: "<b>data",
            reference: "its own answer",
            traits: &[("evil", &ranked)],
        };
        let html = page.render();
        assert!(html.contains("1 lie past the upper fence") && html.contains("<td>101</td>"));
        assert!(!html.contains("<b>data") && !html.contains("NaN"));
        assert_eq!(html.matches("<tr>").count(), 1 + LISTED);
    }
}

//! A page about a screened data set.

use super::chart::{Histogram, Mark, histograms};
use super::document::document;
use super::table::{Column, table};
use crate::screening::RankedSample;
use crate::stats::{mean, quantile, standard_deviation};
use maud::{Markup, html};

/// How many samples the page lists for each trait.
const LISTED: usize = 50;

/// A page about a screened data set.
#[derive(Clone, Copy, Debug)]
pub struct ScreeningPage<'a> {
    /// Name of the data set.
    pub name: &'a str,
    /// What answers were compared with, as it stands in a sentence.
    pub reference: &'a str,
    /// Traits by name, with their samples in order of rank.
    pub traits: &'a [(&'a str, &'a [RankedSample])],
}

impl ScreeningPage<'_> {
    /// The HTML page. It names samples by their lines and contains none of their text.
    #[must_use]
    pub fn render(&self) -> String {
        let body = html! {
            h1 { (self.name) }
            p {
                "Projection difference of each sample: how much further along the trait its answer \
                 lies than the reference, " (self.reference) ". Look at the samples at the top \
                 before you train on them."
            }
            @for (name, ranked) in self.traits { (section(name, ranked)) }
        };
        document(self.name, &body)
    }
}

fn section(name: &str, ranked: &[RankedSample]) -> Markup {
    let differences: Vec<f64> = ranked.iter().rev().map(|one| one.sample.difference).collect();
    if differences.is_empty() {
        return html! {};
    }
    let (lower, upper) = (quantile(&differences, 0.25), quantile(&differences, 0.75));
    let fence = upper + 1.5 * (upper - lower);
    let (beyond, within): (Vec<f64>, Vec<f64>) =
        differences.iter().partition(|difference| **difference > fence);
    let columns = [
        Column::Number("Rank"),
        Column::Number("Line"),
        Column::Number("Difference"),
        Column::Number("Above"),
    ];
    let rows: Vec<Vec<String>> = ranked
        .iter()
        .take(LISTED)
        .map(|one| {
            vec![
                one.rank.to_string(),
                one.sample.line.to_string(),
                format!("{:.3}", one.sample.difference),
                format!("{:.1}%", 100.0 * one.percentile),
            ]
        })
        .collect();
    let spread = if differences.len() > 1 { standard_deviation(&differences) } else { 0.0 };
    html! {
        h2 { (name) }
        (histograms(
            "Projection difference",
            [
                Histogram { name: "past the fence", colour: "var(--pos)", values: &beyond },
                Histogram { name: "within", colour: "var(--neg)", values: &within },
            ],
            &[Mark { name: "fence", at: fence }],
        ))
        p {
            (differences.len()) " samples: mean " (format_args!("{:.3}", mean(&differences)))
            ", standard deviation " (format_args!("{spread:.3}")) "; " (beyond.len())
            " lie past the upper fence (third quartile plus 1.5 times the interquartile range)."
        }
        (table(&columns, &rows, None))
    }
}

#[cfg(test)]
mod tests;

//! Histograms.

use super::plane::{BOTTOM, HEIGHT, LEFT, Plane, TOP, WIDTH, px, range};
use maud::{Markup, html};

const BINS: usize = 30;

/// One histogram of a chart.
#[derive(Clone, Copy, Debug)]
pub(in crate::page) struct Histogram<'a> {
    pub(in crate::page) name: &'a str,
    /// CSS colour.
    pub(in crate::page) colour: &'a str,
    pub(in crate::page) values: &'a [f64],
}

/// A named vertical line of a chart.
#[derive(Clone, Copy, Debug)]
pub(in crate::page) struct Mark<'a> {
    pub(in crate::page) name: &'a str,
    pub(in crate::page) at: f64,
}

/// Two histograms over common bins, with marks. Values that are not finite are left out.
pub(in crate::page) fn histograms(
    label: &str,
    histograms: [Histogram<'_>; 2],
    marks: &[Mark<'_>],
) -> Markup {
    let values = histograms.iter().flat_map(|histogram| histogram.values.iter().copied());
    let x = range(values.chain(marks.iter().map(|mark| mark.at)));
    let bin = |value: f64| (((value - x.0) / (x.1 - x.0) * BINS as f64) as usize).min(BINS - 1);
    let counts = histograms.map(|histogram| {
        let mut counts = [0_u32; BINS];
        let finite = histogram.values.iter().filter(|value| value.is_finite());
        finite.for_each(|value| counts[bin(*value)] += 1);
        counts
    });
    // At least 4, so that the ticks are whole numbers.
    let highest = counts.iter().flatten().max().copied().unwrap_or(0).max(4);
    let plane = Plane { x, y: (0.0, f64::from(highest)) };
    let width = (plane.x(x.1) - plane.x(x.0)) / BINS as f64;
    let body = html! {
        @for (index, (histogram, counts)) in (0_u32..).zip(histograms.iter().zip(&counts)) {
            @for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                @let top = plane.y(f64::from(*count));
                rect x=(px(plane.x(x.0) + bin as f64 * width)) y=(px(top))
                    width=(px(width)) height=(px(HEIGHT - BOTTOM - top))
                    fill=(histogram.colour) fill-opacity=".5" {}
            }
            text x=(px(LEFT + 260.0 * f64::from(index))) y="14"
                style={ "fill:" (histogram.colour) } { (histogram.name) }
        }
        @for mark in marks {
            @let x = plane.x(mark.at);
            line x1=(px(x)) x2=(px(x)) y1=(TOP) y2=(HEIGHT - BOTTOM)
                stroke="var(--ink)" stroke-dasharray="4 3" {}
            // The name stands on the side of the line where there is room.
            @let (label, anchor) =
                if x > WIDTH / 2.0 { (x - 4.0, "end") } else { (x + 4.0, "start") };
            text x=(px(label)) y=(TOP + 10.0) text-anchor=(anchor) { (mark.name) }
        }
    };
    plane.chart(label, &body)
}

#[cfg(test)]
mod tests;

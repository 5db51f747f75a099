//! Charts as inline SVG.

use super::html::escape;
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 40.0;

/// A line of a chart.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    /// CSS colour.
    pub(super) colour: &'a str,
    pub(super) dashed: bool,
    pub(super) points: Vec<(f64, f64)>,
}

/// The plane of a chart: from the ranges of x and y to pixels.
struct Plane {
    x: (f64, f64),
    y: (f64, f64),
}

impl Plane {
    fn x(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn frame(&self, label: &str, body: &str) -> String {
        let mut ticks = String::new();
        // Writing to a string does not fail.
        for y in round_numbers(self.y) {
            let _ = write!(
                ticks,
                "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                self.y(y) + 4.0,
                short(y),
                at = self.y(y),
            );
        }
        for x in round_numbers(self.x) {
            let _ = write!(
                ticks,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                self.x(x),
                HEIGHT - BOTTOM + 16.0,
                short(x),
            );
        }
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">{ticks}{body}\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{label}</text></svg>\n",
            WIDTH / 2.0,
            HEIGHT - 6.0,
            label = escape(label),
        )
    }
}

/// Two to six round numbers within a range.
fn round_numbers((low, high): (f64, f64)) -> Vec<f64> {
    let rough = (high - low) / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|multiple| multiple * power)
        .into_iter()
        .find(|step| *step >= rough * 0.999);
    let Some(step) = step.filter(|step| step.is_finite() && *step > 0.0) else {
        return vec![low, high];
    };
    let first = (low / step).ceil();
    // Adding zero turns −0 into 0.
    (0..6)
        .map(|n| (first + f64::from(n)) * step + 0.0)
        .take_while(|tick| *tick <= high + step * 1e-6)
        .collect()
}

fn short(value: f64) -> String {
    if value.abs() >= 10.0 || value == value.round() {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// A range that is never empty.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    if low >= high { (low.min(0.0) - 1.0, high.max(0.0) + 1.0) } else { (low, high) }
}

/// Lines over a common axis, with `mark` as a vertical line.
pub(super) fn lines(
    label: &str,
    lines: &[Line<'_>],
    y: Option<(f64, f64)>,
    mark: Option<f64>,
) -> String {
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let plane = Plane {
        x: range(all().map(|(x, _)| x)),
        y: y.unwrap_or_else(|| range(all().map(|(_, y)| y))),
    };
    let mut body = String::new();
    if let Some(x) = mark {
        let x = plane.x(x);
        let _ = write!(
            body,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\" stroke=\"var(--soft)\" stroke-dasharray=\"2 4\"/>",
            HEIGHT - BOTTOM
        );
    }
    for (index, line) in (0_u32..).zip(lines) {
        let points: Vec<String> = line
            .points
            .iter()
            .map(|(x, y)| format!("{:.1},{:.1}", plane.x(*x), plane.y(*y)))
            .collect();
        let dash = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
        let _ = write!(
            body,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash} points=\"{}\"/>\
             <text x=\"{:.1}\" y=\"14\" style=\"fill:{colour}\">{}</text>",
            points.join(" "),
            LEFT + 210.0 * f64::from(index),
            escape(line.name),
            colour = line.colour,
        );
    }
    plane.frame(label, &body)
}

/// Two samples as histograms over common bins, with marks.
pub(super) fn histograms(
    label: &str,
    samples: [(&str, &str, &[f64]); 2],
    marks: &[(f64, &str)],
) -> String {
    const BINS: usize = 30;
    let values = samples.iter().flat_map(|(_, _, values)| values.iter().copied());
    let x = range(values.chain(marks.iter().map(|(at, _)| *at)));
    let bin = |value: f64| (((value - x.0) / (x.1 - x.0) * BINS as f64) as usize).min(BINS - 1);
    let counts = samples.map(|(_, _, values)| {
        let mut counts = [0_u32; BINS];
        values.iter().filter(|value| value.is_finite()).for_each(|value| counts[bin(*value)] += 1);
        counts
    });
    // High enough for an axis of whole numbers.
    let highest = counts.iter().flatten().max().copied().unwrap_or(0).max(4);
    let plane = Plane { x, y: (0.0, f64::from(highest)) };
    let width = (plane.x(x.1) - plane.x(x.0)) / BINS as f64;
    let mut body = String::new();
    for (index, ((name, colour, _), counts)) in (0_u32..).zip(samples.iter().zip(&counts)) {
        for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (left, top) = (plane.x(x.0) + bin as f64 * width, plane.y(f64::from(*count)));
            let _ = write!(
                body,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\" fill-opacity=\".5\"/>",
                HEIGHT - BOTTOM - top
            );
        }
        let x = LEFT + 260.0 * f64::from(index);
        let _ = write!(
            body,
            "<text x=\"{x:.1}\" y=\"14\" style=\"fill:{colour}\">{}</text>",
            escape(name)
        );
    }
    for (at, name) in marks {
        let x = plane.x(*at);
        // Beside the line, on the side where there is room.
        let (label, anchor) = if x > WIDTH / 2.0 { (x - 4.0, "end") } else { (x + 4.0, "start") };
        let _ = write!(
            body,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\" stroke=\"var(--ink)\" stroke-dasharray=\"4 3\"/>\
             <text x=\"{label:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            HEIGHT - BOTTOM,
            TOP + 10.0,
            escape(name)
        );
    }
    plane.frame(label, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_at_the_edge_is_named_within_the_chart() {
        let chart = histograms(
            "x",
            [("a", "red", &[0.0, 1.0]), ("b", "blue", &[0.5])],
            &[(9.0, "sigma 3"), (0.0, "low")],
        );
        assert!(
            chart.contains("text-anchor=\"end\">sigma 3")
                && chart.contains("text-anchor=\"start\">low"),
            "{chart}"
        );
    }

    #[test]
    fn ticks_are_round_and_within_the_range() {
        assert_eq!(round_numbers((0.0, 30.0)), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(round_numbers((4.0, 28.0)), [10.0, 20.0]);
        assert_eq!(round_numbers((0.0, 2.0)), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(round_numbers((-20.0, 162.0)), [0.0, 50.0, 100.0, 150.0]);
        assert_eq!(round_numbers((3.0, 3.0)), [3.0, 3.0]);
    }
}

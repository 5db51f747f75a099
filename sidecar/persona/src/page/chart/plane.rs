//! The plane of a chart: its size, its axes, and the mapping from values to pixels.

use maud::{Markup, html};

pub(super) const WIDTH: f64 = 900.0;
pub(super) const HEIGHT: f64 = 300.0;
pub(super) const LEFT: f64 = 50.0;
const RIGHT: f64 = 20.0;
pub(super) const TOP: f64 = 24.0;
pub(super) const BOTTOM: f64 = 40.0;

/// The ranges of x and y that a chart shows.
pub(super) struct Plane {
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
}

impl Plane {
    /// Horizontal position in pixels.
    pub(super) fn x(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Vertical position in pixels.
    pub(super) fn y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }

    /// The chart: axes and their ticks, then the body, then the label below it.
    pub(super) fn chart(&self, label: &str, body: &Markup) -> Markup {
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
                @for (y, at) in round_numbers(self.y).into_iter().map(|y| (y, self.y(y))) {
                    line class="axis" x1=(LEFT) x2=(WIDTH - RIGHT) y1=(px(at)) y2=(px(at)) {}
                    text x=(LEFT - 6.0) y=(px(at + 4.0)) text-anchor="end" { (short(y)) }
                }
                @for x in round_numbers(self.x) {
                    text x=(px(self.x(x))) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" {
                        (short(x))
                    }
                }
                (body)
                text x=(WIDTH / 2.0) y=(HEIGHT - 6.0) text-anchor="middle" { (label) }
            }
        }
    }
}

/// A position in pixels, as an attribute.
pub(super) fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// The range of the finite values, never empty.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    if low >= high { (low.min(0.0) - 1.0, high.max(0.0) + 1.0) } else { (low, high) }
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

#[cfg(test)]
mod tests;

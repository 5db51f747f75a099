//! Line charts.

use super::plane::{BOTTOM, HEIGHT, LEFT, Plane, TOP, px, range};
use maud::{Markup, html};

/// One line of a chart.
#[derive(Clone, Debug)]
pub(in crate::page) struct Line<'a> {
    pub(in crate::page) name: &'a str,
    /// CSS colour.
    pub(in crate::page) colour: &'a str,
    pub(in crate::page) dashed: bool,
    /// Points (x, y).
    pub(in crate::page) points: Vec<(f64, f64)>,
}

/// Lines on common axes. `y` is the vertical range, by default that of the points; `mark` is the
/// position of a vertical line.
pub(in crate::page) fn lines(
    label: &str,
    lines: &[Line<'_>],
    y: Option<(f64, f64)>,
    mark: Option<f64>,
) -> Markup {
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let plane = Plane {
        x: range(all().map(|(x, _)| x)),
        y: y.unwrap_or_else(|| range(all().map(|(_, y)| y))),
    };
    let body = html! {
        @if let Some(x) = mark.map(|x| px(plane.x(x))) {
            line x1=(x) x2=(x) y1=(TOP) y2=(HEIGHT - BOTTOM)
                stroke="var(--soft)" stroke-dasharray="2 4" {}
        }
        @for (index, line) in (0_u32..).zip(lines) {
            polyline fill="none" stroke=(line.colour) stroke-width="2"
                stroke-dasharray=[line.dashed.then_some("6 4")] points=(points(&plane, line)) {}
            text x=(px(LEFT + 210.0 * f64::from(index))) y="14" style={ "fill:" (line.colour) } {
                (line.name)
            }
        }
    };
    plane.chart(label, &body)
}

fn points(plane: &Plane, line: &Line<'_>) -> String {
    let points: Vec<String> = line
        .points
        .iter()
        .map(|(x, y)| format!("{},{}", px(plane.x(*x)), px(plane.y(*y))))
        .collect();
    points.join(" ")
}

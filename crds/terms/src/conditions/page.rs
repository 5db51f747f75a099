//! `docs/conditions.md`.

use super::condition;
use super::event;
use super::reason::{self, EVENT, METRIC, Place, Reason};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# Conditions and reasons

<!-- Generated from crds/terms/src/conditions by `cargo xtask crdgen`. Do not edit. -->

Every condition that is not healthy has a reason, and a message that says what to do next. A policy
that is edited into something that cannot be enforced stays in force as it was, and the message says
which generation that is: a mistake does not leave guarded traffic unguarded.

Conditions `Guarded` and `Ready` of a PersonaPolicy repeat the reason of what stands in their way:
of condition `Accepted`, or of the sidecar that cannot serve.

## Conditions
";

const EVENTS: &str = "
## Events

The operator publishes these, and no others (`kubectl describe`, `kubectl get events`).

| reason | type | about | says |
| --- | --- | --- | --- |
";

/// The page, as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| condition | of | healthy | True means |\n| --- | --- | --- | --- |\n");
    for condition in condition::ALL {
        let kinds = condition.kinds.join(", ");
        row(&mut page, condition.name, [&kinds, condition.healthy, condition.means]);
    }
    page.push_str(
        "\n## Reasons\n\n| reason | on | says | what to do |\n| --- | --- | --- | --- |\n",
    );
    for reason in reason::ALL {
        row(&mut page, reason.name, [&places(reason), reason.says, reason.action]);
    }
    page.push_str(EVENTS);
    for event in event::ALL {
        let type_ = if event.warning { "Warning" } else { "Normal" };
        row(&mut page, event.reason, [type_, &event.about.join(", "), event.says]);
    }
    for reason in event::rejections() {
        row(&mut page, reason.name, ["Warning", "PersonaPolicy", event::REJECTED]);
    }
    page
}

fn row(page: &mut String, name: &str, [second, third, fourth]: [&str; 3]) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "| `{name}` | {second} | {third} | {fourth} |");
}

fn places(reason: &Reason) -> String {
    let place = |place: &Place| match place.condition {
        EVENT | METRIC => place.condition.to_owned(),
        condition if place.kinds.is_empty() => format!("`{condition}`"),
        condition => format!("`{condition}` ({})", place.kinds.join(", ")),
    };
    reason.places.iter().map(place).collect::<Vec<_>>().join(", ")
}

use super::*;
use std::path::Path;

fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn the_charts_alert_has_the_severity_of_each_action() {
    let of = |severity: &str| {
        let kinds = ActionKind::all().rev().filter(|kind| kind.severity() == severity);
        let names: Vec<_> = kinds.map(|kind| format!("\"{}\"", kind.name())).collect();
        names.join(" ")
    };
    let severity = format!(
        "severity: '{{{{ if eq $labels.mode \"Audit\" }}}}info{{{{ else if eq $labels.action {} \
         }}}}critical{{{{ else if eq $labels.action {} \
         }}}}info{{{{ else }}}}warning{{{{ end }}}}'",
        of("critical"),
        of("info")
    );
    assert!(page("charts/personaguard/files/rules.yaml").contains(&severity), "write {severity}");
}

#[test]
fn the_page_about_policies_has_a_row_for_each_action() {
    let page = page("docs/policies.md");
    let mut rows = page.lines();
    for kind in ActionKind::all() {
        let threshold = if kind.needs_threshold() { "required" } else { "optional" };
        let (begin, end) =
            (format!("| `{}` | ", kind.name()), format!(" | {threshold} | {} |", kind.severity()));
        assert!(
            rows.any(|row| row.starts_with(&begin) && row.ends_with(&end)),
            "docs/policies.md lacks, at its place, the row {begin}…{end}"
        );
    }
}

#[test]
fn an_action_is_written_as_its_name_or_with_its_parameters() {
    let redact = Action::Redact(Redaction { text: "[removed]".to_owned() });
    for (action, written) in
        [(Action::Block, "\"Block\""), (redact, "{\"Redact\":{\"text\":\"[removed]\"}}")]
    {
        assert_eq!(serde_json::to_string(&action).unwrap(), written);
        assert_eq!(serde_json::from_str::<Action>(written).unwrap(), action);
    }
    assert!(serde_json::from_str::<Action>("\"Redact\"").is_err(), "it needs its text");
    assert!(serde_json::from_str::<Action>("{\"Block\":{\"text\":\"\"}}").is_err());
}

#[test]
fn actions_that_only_tell_hold_nothing_and_change_nothing() {
    for kind in ActionKind::all() {
        assert!(kind.intervenes() || !(kind.holds() || kind.changes_activations()), "{kind:?}");
        assert!(!kind.cuts() || kind.holds(), "{kind:?}");
        assert!(!kind.effect().is_empty(), "{kind:?}");
    }
    assert_eq!(ActionKind::list(|kind| !kind.intervenes(), "and"), "Audit and Alert");
    assert_eq!(ActionKind::list(ActionKind::cuts, "or"), "Redact or Block");
}

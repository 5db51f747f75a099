use super::*;

#[test]
fn names_and_labels_are_those_of_the_rules_and_the_dashboard() {
    let metrics = Metrics::new();
    metrics.reconciled("PersonaPolicy", "Resolved", 0.01);
    metrics.push("accepted");
    metrics.alerts("webhook", "delivered", 2);
    metrics.set_policy("support", "no-villains", true, 0);
    metrics.set_silent_pods("support", "Deployment/chat", 1);
    let labels = || TraitLabels {
        namespace: "support".into(),
        workload: "Deployment/chat".into(),
        policy: "no-villains".into(),
        r#trait: "evil".into(),
    };
    metrics.set_trait(labels(), 3, false);
    metrics.set_trait(labels(), 5, true);
    let text = metrics.encode();
    personaguard_strict_scrape::parse(&text).unwrap();
    let breach = "namespace=\"support\",workload=\"Deployment/chat\",\
                  policy=\"no-villains\",trait=\"evil\"";
    let lines = [
        "personaguard_operator_reconciliations_total{kind=\"PersonaPolicy\",reason=\"Resolved\"} 1",
        "personaguard_operator_reports_total{result=\"accepted\"} 1",
        "personaguard_operator_alerts_total{receiver=\"webhook\",result=\"delivered\"} 2",
        "personaguard_operator_leader 0",
        "personaguard_policy_ready{namespace=\"support\",policy=\"no-villains\"} 1",
        &format!("personaguard_workload_breaches_total{{{breach}}} 5"),
        &format!("personaguard_workload_drift_detected{{{breach}}} 1"),
    ];
    for line in lines {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    metrics.remove_workload("support", "Deployment/chat");
    assert!(!metrics.encode().contains("evil"));
}

#[test]
fn series_that_are_left_out_are_counted() {
    let metrics = Metrics::new();
    for number in 0..MAX_TRAIT_SERIES + 2 {
        let labels = TraitLabels {
            namespace: "support".into(),
            workload: format!("Deployment/chat-{number}"),
            policy: "no-villains".into(),
            r#trait: "evil".into(),
        };
        metrics.set_trait(labels, 1, true);
    }
    let text = metrics.encode();
    assert_eq!(text.matches("personaguard_workload_drift_detected{").count(), MAX_TRAIT_SERIES);
    assert!(text.contains("personaguard_operator_series_left_out_total 2\n"));
}

#[test]
fn item_15_every_metric_of_the_list_exists_and_no_other() {
    let source = include_str!("../../../../crds/terms/src/metrics.rs");
    let (_, operator) = source.split_once("pub mod operator").unwrap();
    let mut listed: Vec<&str> =
        operator.split('"').filter(|text| text.starts_with("personaguard_")).collect();
    let mut registered = Metrics::new().registered;
    listed.sort_unstable();
    registered.sort_unstable();
    assert_eq!(registered, listed);
}

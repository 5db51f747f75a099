use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_api::LastBreach;
use std::time::Duration;

#[test]
fn an_alert_has_the_labels_of_the_rule_and_a_severity_by_its_action() {
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    let breach = ActiveBreach {
        policy: "no-villains".into(),
        vector: "evil".into(),
        score: personaguard_api::Score::default(),
        breach: LastBreach {
            at: Time(at),
            score: 5.14,
            threshold: 4.2,
            response_id: "chatcmpl-1".into(),
        },
        left: Duration::from_secs(600),
    };
    let alert = Alert::breach("support", "Deployment/chat", &breach, ActionKind::Block);
    assert_eq!(
        (alert.labels["severity"].as_str(), alert.labels["action"].as_str()),
        ("critical", "Block")
    );
    assert!(alert.annotations["description"].contains("evil 5.1 > 4.2"), "{alert:?}");
    let steered = Alert::breach("support", "Deployment/chat", &breach, ActionKind::Steer);
    assert_eq!(steered.labels["severity"], "warning");
    assert_eq!(alert.starts_at, at);
}

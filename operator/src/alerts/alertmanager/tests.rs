use super::*;
use std::collections::BTreeMap;

#[test]
fn a_firing_alert_expires_and_a_resolved_one_has_its_end() {
    let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
    let alert = |ends_at| Alert {
        labels: BTreeMap::from([("alertname", "A".to_owned())]),
        annotations: BTreeMap::new(),
        starts_at: at(0),
        ends_at,
    };
    let body = body(&[alert(None), alert(Some(at(60)))], at(90));
    assert_eq!(body[0]["startsAt"], "2023-11-14T22:13:20Z");
    assert_eq!(body[0]["endsAt"], "2023-11-14T22:19:50Z");
    assert_eq!(body[1]["endsAt"], "2023-11-14T22:14:20Z");
    assert_eq!(Alertmanager::new("http://a:9093/").url, "http://a:9093/api/v2/alerts");
}

//! An Alertmanager, by its API v2. It is told again and again while an alert is in force, and
//! merges by labels.

use super::{Alert, Undelivered};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

/// Between two times that an alert in force is sent.
pub(super) const REPEAT: Duration = Duration::from_secs(60);
/// An alert ends by itself when it was not sent again for so long: an operator that died says no
/// end.
const ENDS_AFTER: SignedDuration = SignedDuration::from_mins(5);

#[derive(Clone, Debug)]
pub(super) struct Alertmanager {
    url: String,
}

impl Alertmanager {
    pub(super) fn new(base: &str) -> Self {
        Self { url: format!("{}/api/v2/alerts", base.trim_end_matches('/')) }
    }

    pub(super) async fn deliver(
        &self,
        http: &reqwest::Client,
        alerts: &[Alert],
        now: Timestamp,
    ) -> Result<(), Undelivered> {
        if !alerts.is_empty() {
            http.post(&self.url).json(&body(alerts, now)).send().await?.error_for_status()?;
        }
        Ok(())
    }
}

fn body(alerts: &[Alert], now: Timestamp) -> Value {
    let alerts = alerts.iter().map(|alert| {
        json!({
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": alert.starts_at,
            "endsAt": alert.ends_at.unwrap_or(now + ENDS_AFTER),
        })
    });
    alerts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_alert_in_force_ends_by_itself_and_one_that_is_over_when_it_ended() {
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
}

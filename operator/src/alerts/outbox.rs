//! What one receiver was told, and what it is still to be told. Pure.
//!
//! An alert is told once when it begins and once when it ends, whatever happens to the receiver in
//! between: one that began and ended while the receiver was away is told as over. Bounded: past its
//! limit the oldest are dropped, and counted.

use super::Alert;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Alerts that are kept for one receiver at most.
const MAX_ALERTS: usize = 1000;

type Labels = BTreeMap<&'static str, String>;

#[derive(Debug)]
struct Entry {
    alert: Alert,
    /// When the receiver took its beginning.
    told: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    entries: BTreeMap<Labels, Entry>,
    repeat: Option<Duration>,
}

/// Alerts to be delivered now, oldest first.
#[derive(Debug)]
pub(super) struct Parcel(Vec<Alert>);

impl Parcel {
    pub(super) fn alerts(&self) -> &[Alert] {
        &self.0
    }
}

impl Outbox {
    /// `repeat`: after how long an alert that is in force is told again, if it is.
    pub(super) fn new(repeat: Option<Duration>) -> Self {
        Self { entries: BTreeMap::new(), repeat }
    }

    /// Takes in what is in force now; gives how many alerts were dropped for want of room.
    pub(super) fn observe(&mut self, firing: Vec<Alert>, now: Timestamp) -> usize {
        let mut firing: BTreeMap<Labels, Alert> =
            firing.into_iter().map(|alert| (alert.labels.clone(), alert)).collect();
        for (labels, entry) in &mut self.entries {
            match firing.remove(labels) {
                // It began again before its end was told: one alert that went on.
                Some(alert) => {
                    entry.alert.annotations = alert.annotations;
                    entry.alert.ends_at = None;
                }
                None => {
                    entry.alert.ends_at.get_or_insert(now);
                }
            }
        }
        let new = firing.into_iter().map(|(labels, alert)| (labels, Entry { alert, told: None }));
        self.entries.extend(new);
        let over = self.entries.len().saturating_sub(MAX_ALERTS);
        for _ in 0..over {
            let oldest = self
                .entries
                .iter()
                .min_by_key(|(_, entry)| entry.alert.starts_at)
                .map(|(key, _)| key.clone());
            oldest.and_then(|labels| self.entries.remove(&labels));
        }
        over
    }

    pub(super) fn due(&self, now: Timestamp) -> Parcel {
        let due = self.entries.values().filter(|entry| match (entry.told, entry.alert.ends_at) {
            (None, _) | (Some(_), Some(_)) => true,
            (Some(told), None) => self.repeat.is_some_and(|repeat| {
                Duration::try_from(now.duration_since(told)).is_ok_and(|passed| passed >= repeat)
            }),
        });
        let mut due: Vec<Alert> = due.map(|entry| entry.alert.clone()).collect();
        due.sort_by_key(|alert| alert.starts_at);
        Parcel(due)
    }

    /// The receiver took the first `taken` alerts of a parcel.
    pub(super) fn delivered(&mut self, parcel: &Parcel, taken: usize, now: Timestamp) {
        for alert in parcel.0.iter().take(taken) {
            if alert.ends_at.is_some() {
                self.entries.remove(&alert.labels);
            } else if let Some(entry) = self.entries.get_mut(&alert.labels) {
                entry.told = Some(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn alert(name: &str, second: i64) -> Alert {
        Alert {
            labels: BTreeMap::from([("trait", name.to_owned())]),
            annotations: BTreeMap::new(),
            starts_at: at(second),
            ends_at: None,
        }
    }

    fn names(parcel: &Parcel) -> Vec<(String, bool)> {
        parcel
            .alerts()
            .iter()
            .map(|alert| (alert.labels["trait"].clone(), alert.ends_at.is_some()))
            .collect()
    }

    #[test]
    fn what_began_and_ended_while_the_receiver_was_away_is_told_as_over() {
        let mut outbox = Outbox::new(None);
        outbox.observe(vec![alert("evil", 0)], at(0));
        let lost = outbox.due(at(0));
        outbox.delivered(&lost, 0, at(0));
        outbox.observe(vec![], at(60));
        let parcel = outbox.due(at(60));
        assert_eq!(names(&parcel), [("evil".to_owned(), true)]);
        assert_eq!(
            (parcel.alerts()[0].starts_at, parcel.alerts()[0].ends_at),
            (at(0), Some(at(60)))
        );
        outbox.delivered(&parcel, 1, at(61));
        assert!(outbox.due(at(61)).alerts().is_empty());
    }

    #[test]
    fn an_alert_in_force_is_told_again_only_where_the_receiver_wants_it() {
        for (repeat, again) in [(None, 0), (Some(Duration::from_secs(60)), 1)] {
            let mut outbox = Outbox::new(repeat);
            outbox.observe(vec![alert("evil", 0)], at(0));
            let parcel = outbox.due(at(0));
            outbox.delivered(&parcel, 1, at(0));
            outbox.observe(vec![alert("evil", 30)], at(30));
            assert!(outbox.due(at(30)).alerts().is_empty());
            outbox.observe(vec![alert("evil", 30)], at(60));
            let parcel = outbox.due(at(60));
            assert_eq!(parcel.alerts().len(), again);
            assert!(
                parcel.alerts().iter().all(|alert| alert.starts_at == at(0)),
                "it goes on, it does not begin again"
            );
        }
    }

    #[test]
    fn a_thousand_alerts_are_kept_and_the_oldest_go_first() {
        let mut outbox = Outbox::new(None);
        let many = (0..1010).map(|i| alert(&format!("t{i}"), i)).collect();
        assert_eq!(outbox.observe(many, at(2000)), 10);
        let parcel = outbox.due(at(2000));
        assert_eq!(
            (parcel.alerts().len(), parcel.alerts()[0].labels["trait"].as_str()),
            (1000, "t10")
        );
    }

    proptest! {
        /// Whatever fails: a receiver is told of each alert as often as it began and as often as it
        /// ended, in turns.
        #[test]
        fn each_beginning_and_each_end_is_told_once(steps in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..60)) {
            let mut outbox = Outbox::new(None);
            let mut told: Vec<bool> = Vec::new();
            for (second, (firing, up)) in steps.into_iter().chain([(false, true), (false, true)]).enumerate() {
                let now = at(second as i64);
                outbox.observe(if firing { vec![alert("evil", second as i64)] } else { vec![] }, now);
                let parcel = outbox.due(now);
                let taken = if up { parcel.alerts().len() } else { 0 };
                told.extend(parcel.alerts()[..taken].iter().map(|alert| alert.ends_at.is_some()));
                outbox.delivered(&parcel, taken, now);
            }
            prop_assert!(outbox.entries.is_empty());
            // Never two beginnings without an end between them; the last word is an end.
            prop_assert!(told.windows(2).all(|pair| pair[0] || pair[1]), "{told:?}");
            prop_assert!(told.last().is_none_or(|ended| *ended));
        }
    }
}

use super::*;
use proptest::collection::vec;
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

fn names(batch: &Batch) -> Vec<(String, bool)> {
    batch
        .alerts()
        .iter()
        .map(|alert| (alert.labels["trait"].clone(), alert.ends_at.is_some()))
        .collect()
}

#[test]
fn an_alert_that_began_and_ended_while_the_receiver_was_down_is_sent_as_ended() {
    let mut outbox = Outbox::new(None);
    outbox.observe(vec![alert("evil", 0)], at(0));
    let failed = outbox.due(at(0));
    outbox.delivered(&failed, 0, at(0));
    outbox.observe(vec![], at(60));
    let batch = outbox.due(at(60));
    assert_eq!(names(&batch), [("evil".to_owned(), true)]);
    assert_eq!((batch.alerts()[0].starts_at, batch.alerts()[0].ends_at), (at(0), Some(at(60))));
    outbox.delivered(&batch, 1, at(61));
    assert!(outbox.due(at(61)).alerts().is_empty());
}

#[test]
fn a_firing_alert_is_repeated_only_if_the_receiver_wants_that() {
    for (repeat, again) in [(None, 0), (Some(Duration::from_secs(60)), 1)] {
        let mut outbox = Outbox::new(repeat);
        outbox.observe(vec![alert("evil", 0)], at(0));
        let batch = outbox.due(at(0));
        outbox.delivered(&batch, 1, at(0));
        outbox.observe(vec![alert("evil", 30)], at(30));
        assert!(outbox.due(at(30)).alerts().is_empty());
        outbox.observe(vec![alert("evil", 30)], at(60));
        let batch = outbox.due(at(60));
        assert_eq!(batch.alerts().len(), again);
        assert!(
            batch.alerts().iter().all(|alert| alert.starts_at == at(0)),
            "it continues, it does not begin again"
        );
    }
}

#[test]
fn a_thousand_alerts_are_kept_and_the_oldest_dropped_first() {
    let mut outbox = Outbox::new(None);
    let many = (0..1010).map(|i| alert(&format!("t{i}"), i)).collect();
    assert_eq!(outbox.observe(many, at(2000)), 10);
    let batch = outbox.due(at(2000));
    assert_eq!((batch.alerts().len(), batch.alerts()[0].labels["trait"].as_str()), (1000, "t10"));
}

proptest! {
    /// Whatever fails: a receiver gets beginnings and ends in turns, and finally an end.
    #[test]
    fn each_beginning_and_each_end_is_sent_once(
        steps in vec((any::<bool>(), any::<bool>()), 1..60)
    ) {
        let mut outbox = Outbox::new(None);
        let mut sent: Vec<bool> = Vec::new();
        let steps = steps.into_iter().chain([(false, true), (false, true)]);
        for (second, (is_firing, is_up)) in (0..).zip(steps) {
            let now = at(second);
            outbox.observe(is_firing.then(|| alert("evil", second)).into_iter().collect(), now);
            let batch = outbox.due(now);
            let accepted = if is_up { batch.alerts().len() } else { 0 };
            sent.extend(batch.alerts()[..accepted].iter().map(|alert| alert.ends_at.is_some()));
            outbox.delivered(&batch, accepted, now);
        }
        prop_assert!(outbox.entries.is_empty());
        // Never two beginnings without an end between them.
        prop_assert!(sent.windows(2).all(|pair| pair[0] || pair[1]), "{sent:?}");
        prop_assert!(sent.last().is_none_or(|ended| *ended));
    }
}

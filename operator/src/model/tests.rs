use super::*;
use crate::fixtures::{model, report};
use personaguard_api::Failure;

/// Condition `Ready` with so many sidecars that serve the model, and that cannot.
fn condition(serving: usize, failing: usize) -> (String, String) {
    let sidecar = |index: usize| {
        let mut pod = report(&format!("chat-{index}"), &[]);
        if index >= serving {
            pod.state = PodState::Failed;
            let (reason, message) = ("WeightsInvalid".into(), "The file is cut short.".into());
            pod.failure = Some(Failure { reason, message });
        }
        ("support".to_owned(), pod)
    };
    let sidecars: Vec<_> = (0..serving + failing).map(sidecar).collect();
    let status = status(&model(), &sidecars, Timestamp::UNIX_EPOCH);
    assert_eq!(status.sidecars as usize, serving);
    let ready = status.conditions.into_iter().next().unwrap();
    (ready.status, ready.message)
}

#[test]
fn while_weights_are_fetched_the_status_says_how_far_it_is() {
    let mut pod = report("chat-0", &[]);
    pod.state = PodState::Loading;
    let message = "fetching tiny.gguf of acme/tiny at main: 30% of 8.2 GB".to_owned();
    pod.failure = Some(Failure { reason: "FetchingWeights".into(), message });
    let of = |sidecars: &[(String, PodCounts)]| {
        let status = status(&model(), sidecars, Timestamp::UNIX_EPOCH);
        status.conditions.into_iter().next().unwrap()
    };
    let mut sidecars = vec![("support".to_owned(), pod)];
    let ready = of(&sidecars);
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("Unknown", "FetchingWeights"));
    assert!(ready.message.starts_with("support/chat-0 is fetching tiny.gguf"), "{}", ready.message);
    // One that serves says more.
    sidecars.push(("support".to_owned(), report("chat-1", &[])));
    assert_eq!(of(&sidecars).status, "True");
}

#[test]
fn issue_15_17_one_pod_does_not_decide_for_the_cluster() {
    for (serving, failing, expected) in [
        (0, 0, "Unknown"),
        (0, 1, "False"),
        (1, 0, "True"),
        (1, 1, "True"),
        (100, 1, "True"),
        (1, 100, "False"),
        (2, 3, "False"),
    ] {
        let (found, message) = condition(serving, failing);
        assert_eq!(found, expected, "{serving} serve it, {failing} cannot: {message}");
        // Whatever it says, those that cannot are told.
        assert!(failing == 0 || message.contains(&failing.to_string()), "{message}");
    }
}

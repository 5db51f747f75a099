//! What a request may ask for beyond the policies, and what it may not.

use crate::enforcement::{long, scored};
use crate::rig::{Rig, policy, steer, text, with};
use personaguard_terms::{Action, ActionKind, Coefficient, CoefficientRange, RequestBounds};
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};

fn coefficient(value: f64) -> Coefficient {
    value.try_into().unwrap()
}

fn lenient() -> ResolvedPolicy {
    let mut policy = policy(Action::Alert, Some(1e6));
    policy.traits[0].requests = Some(RequestBounds {
        block: true,
        threshold: true,
        coefficient: Some(CoefficientRange { min: coefficient(-2.0), max: coefficient(0.0) }),
    });
    policy
}

fn asking(demand: Value) -> Value {
    with(
        long(),
        json!({ "personaguard": { "scores": true, "tokens": true, "traits": { "evil": demand } } }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gets_stricter_enforcement_within_the_bounds() {
    let rig = Rig::ready(vec![lenient()]).await;
    let plain = rig.complete(&scored(long())).await;
    let blocked = rig.complete(&asking(json!({ "block": true, "max": -1e6 }))).await;
    assert_eq!(
        (text(&blocked), &blocked["choices"][0]["finish_reason"]),
        ("", &json!("content_filter"))
    );
    assert_eq!(blocked["personaguard"]["scores"][0]["action"], "Block");
    assert_eq!(blocked["personaguard"]["scores"][0]["threshold"], -1e6);
    let steered = rig.complete(&asking(json!({ "coefficient": -2 }))).await;
    assert_ne!(text(&steered), text(&plain));
    // Nothing of it stays for the next request.
    assert_eq!(text(&rig.complete(&scored(long())).await), text(&plain));
    // The breach is counted under the action that the policy declares.
    let series = "personaguard_trait_breaches_total{policy=\"no-villains\",trait=\"evil\",\
                  action=\"Alert\",mode=\"Enforce\"}";
    assert_eq!(rig.metric(series).await, Some(1.0));
    assert_eq!(rig.sidecar().app().report().traits[0].action, ActionKind::Alert);
    assert_eq!(
        rig.metric("personaguard_request_controls_total{result=\"applied\"}").await,
        Some(2.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coefficient_of_a_caller_is_the_same_as_the_policys() {
    let steering = Rig::ready(vec![policy(steer(), None)]).await.complete(&long()).await;
    let asked =
        Rig::ready(vec![lenient()]).await.complete(&asking(json!({ "coefficient": -2.0 }))).await;
    assert_eq!(text(&asked), text(&steering));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_bounds_is_refused_and_counted() {
    let mut strict = policy(Action::Block, Some(1e6));
    strict.name = "strict".to_owned();
    let (lenient, mixed) =
        (Rig::ready(vec![lenient()]).await, Rig::ready(vec![lenient(), strict]).await);
    let beyond = [
        (&lenient, json!({ "max": 2e6 })),
        (&lenient, json!({ "coefficient": 0.1 })),
        (&lenient, json!({ "coefficient": -2.1 })),
        (&lenient, json!({ "block": true, "coefficient": -3 })),
        // Every policy on the trait must allow it.
        (&mixed, json!({ "block": true })),
        (&mixed, json!({ "max": 0 })),
        (&mixed, json!({ "min": 0 })),
        (&mixed, json!({ "coefficient": -1 })),
    ];
    for (rig, demand) in beyond {
        let response = rig.post(&asking(demand.clone())).await;
        assert_eq!(response.status(), 403, "{demand}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], "beyond_policy_bounds", "{demand}");
        assert_eq!(body["error"]["param"], "personaguard.traits", "{demand}");
    }
    for rig in [&lenient, &mixed] {
        assert_eq!(
            rig.metric("personaguard_request_controls_total{result=\"refused\"}").await,
            Some(4.0)
        );
    }
}

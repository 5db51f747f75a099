//! The server that takes reports, and what extraction Jobs deliver: HTTPS, bounded in every
//! direction, each push identified by its pod's token.

use super::identity::{Identities, Identity, Unidentified};
use super::workload;
use crate::context::Context;
use crate::pods::PodView;
use crate::vector::delivery;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, middleware};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use personaguard_api::names;
use personaguard_wire::{Failure, MAX_REPORT_BYTES, MAX_SAMPLES, MAX_VECTOR_BYTES, SidecarReport};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

/// Pushes that are worked on at the same time; further ones are to come again.
const MAX_PUSHES: usize = 128;
/// For one push, reading it included.
const TIMEOUT: Duration = Duration::from_secs(10);

struct Intake {
    context: Arc<Context>,
    identities: Identities,
    pushes: Semaphore,
}

/// What becomes of a push.
#[derive(Debug)]
pub(crate) enum Answer {
    Taken,
    Malformed(String),
    Unauthenticated(String),
    Forbidden(String),
    Gone,
    Overloaded,
    NotLeader,
}

impl Answer {
    /// For metrics.
    fn label(&self) -> &'static str {
        match self {
            Self::Taken => "accepted",
            Self::Malformed(_) => "malformed",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::Gone => "gone",
            Self::Overloaded => "overloaded",
            Self::NotLeader => "not_leader",
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let again = [(RETRY_AFTER, "1")];
        match self {
            Self::Taken => StatusCode::NO_CONTENT.into_response(),
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, why).into_response(),
            Self::Unauthenticated(why) => (StatusCode::UNAUTHORIZED, why).into_response(),
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, why).into_response(),
            Self::Gone => (StatusCode::GONE, "the pod does not exist any more").into_response(),
            Self::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, again, "too busy: come again").into_response()
            }
            Self::NotLeader => {
                (StatusCode::SERVICE_UNAVAILABLE, again, "this operator does not lead")
                    .into_response()
            }
        }
    }
}

/// The server's routes.
pub(crate) fn router(context: Arc<Context>) -> Router {
    let identities = Identities::new(context.cluster.client.clone());
    let intake = Arc::new(Intake { context, identities, pushes: Semaphore::new(MAX_PUSHES) });
    Router::new()
        .route(names::REPORT_PATH, post(push).layer(DefaultBodyLimit::max(MAX_REPORT_BYTES)))
        .route(names::VECTOR_PATH, post(vector).layer(DefaultBodyLimit::max(MAX_VECTOR_BYTES)))
        .route(names::PROGRESS_PATH, post(progress).layer(DefaultBodyLimit::max(1 << 10)))
        .layer(middleware::from_fn_with_state(Arc::clone(&intake), bounded))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .layer(CatchPanicLayer::new())
        .with_state(intake)
}

/// Bodies are read under the same bound as they are worked on.
async fn bounded(
    State(intake): State<Arc<Intake>>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let Ok(_permit) = intake.pushes.try_acquire() else {
        intake.context.metrics.report(Answer::Overloaded.label());
        return Answer::Overloaded.into_response();
    };
    next.run(request).await
}

async fn push(State(intake): State<Arc<Intake>>, headers: HeaderMap, body: Bytes) -> Answer {
    let taken = async { report(&intake.context, &intake.identify(&headers).await?, &body).await };
    intake.answer(taken.await)
}

async fn vector(State(intake): State<Arc<Intake>>, headers: HeaderMap, body: Bytes) -> Answer {
    let taken =
        async { delivery::vector(&intake.context, &intake.identify(&headers).await?, &body).await };
    intake.answer(taken.await)
}

async fn progress(State(intake): State<Arc<Intake>>, headers: HeaderMap, body: Bytes) -> Answer {
    let taken = async {
        delivery::progress(&intake.context, &intake.identify(&headers).await?, &body).await
    };
    intake.answer(taken.await)
}

impl Intake {
    async fn identify(&self, headers: &HeaderMap) -> Result<Identity, Answer> {
        self.context.cluster.check().map_err(|_| Answer::NotLeader)?;
        self.identities.of(token(headers)?).await.map_err(|error| match error {
            Unidentified::Unauthenticated(why) => Answer::Unauthenticated(why),
            Unidentified::NotAPod => Answer::Forbidden(error.to_string()),
            Unidentified::Overloaded | Unidentified::Api(_) => Answer::Overloaded,
        })
    }

    fn answer(&self, taken: Result<(), Answer>) -> Answer {
        let answer = taken.err().unwrap_or(Answer::Taken);
        self.context.metrics.report(answer.label());
        if let Answer::Malformed(why) | Answer::Unauthenticated(why) | Answer::Forbidden(why) =
            &answer
        {
            tracing::debug!(result = answer.label(), why, "a push was refused");
        }
        answer
    }
}

async fn report(context: &Context, identity: &Identity, body: &[u8]) -> Result<(), Answer> {
    let report: SidecarReport =
        serde_json::from_slice(body).map_err(|error| Answer::Malformed(error.to_string()))?;
    sound(&report).map_err(|why| Answer::Malformed(why.to_owned()))?;
    let pod = pod(context, identity).await?;
    let workload = workload::of(context, &pod).await.map_err(|_| Answer::Overloaded)?;
    for key in context.fleet.take(&pod, &workload, &report) {
        context.queue.push(key);
    }
    Ok(())
}

fn token(headers: &HeaderMap) -> Result<&str, Answer> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let missing =
        || Answer::Unauthenticated("send the header `Authorization: Bearer TOKEN`".to_owned());
    header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(missing)
}

/// The pod as the cache has it. The cache may lag: a pod that it does not have is asked for before
/// it is called gone.
async fn pod(context: &Context, identity: &Identity) -> Result<Arc<PodView>, Answer> {
    if let Some(pod) = context
        .world
        .pods
        .get(&identity.namespace, &identity.pod)
        .filter(|pod| pod.uid == identity.uid)
    {
        return if pod.sidecar.is_some() {
            Ok(pod)
        } else {
            Err(Answer::Forbidden(format!("pod {} has no sidecar", identity.pod)))
        };
    }
    let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &identity.namespace);
    match api.get_metadata_opt(&identity.pod).await {
        Ok(Some(pod)) if pod.uid().as_ref() == Some(&identity.uid) => Err(Answer::Overloaded),
        Ok(_) => Err(Answer::Gone),
        Err(_) => Err(Answer::Overloaded),
    }
}

/// What a sidecar never sends. Everything here reaches an object that people read, so it is
/// bounded.
fn sound(report: &SidecarReport) -> Result<(), &'static str> {
    const NAME: usize = 253;
    const MESSAGE: usize = 2000;
    let failure =
        |failure: &Failure| failure.reason.len() <= 100 && failure.message.len() <= MESSAGE;
    let plain = |text: &str, most: usize| {
        !text.is_empty()
            && text.len() <= most
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if !plain(&report.instance, 64) {
        return Err("instance must be 1 to 64 letters, digits, `-`, `_` or `.`");
    }
    if report.policies.len() > 128 || report.traits.len() > 256 {
        return Err("at most 128 policies and 256 traits are taken");
    }
    if report.traits.iter().filter(|scores| scores.sample.is_some()).count() > MAX_SAMPLES {
        return Err("at most 48 traits with a sample are taken");
    }
    if report.model.name.len() > NAME
        || report.config_error.as_ref().is_some_and(|error| error.len() > MESSAGE)
    {
        return Err("model.name or configError is too long");
    }
    if report.model.failure.as_ref().is_some_and(|it| !failure(it)) {
        return Err("model.failure is too long");
    }
    for policy in &report.policies {
        let refused = policy.refused.len() <= 64
            && policy
                .refused
                .iter()
                .all(|refused| plain(&refused.vector, NAME) && failure(&refused.failure));
        if !plain(&policy.name, NAME) || policy.uid.len() > 64 || !refused {
            return Err(
                "an entry of policies has a name, uid or refusal that is empty, too long or no name",
            );
        }
    }
    for scores in &report.traits {
        if !plain(&scores.policy, NAME) || !plain(&scores.vector, NAME) {
            return Err("an entry of traits has a policy or vector that is no name");
        }
        let drift =
            scores.drift.map(|charts| [charts.shift, charts.up, charts.down]).unwrap_or_default();
        let numbers = [Some(scores.mean), Some(scores.sum_squared_deviations), scores.max];
        if !numbers
            .into_iter()
            .flatten()
            .chain(drift)
            .all(|number| number.is_finite() && number.abs() < 1e15)
        {
            return Err("an entry of traits has a score that is no number");
        }
        if scores.sample.as_ref().is_some_and(|sample| !sample.is_sound()) {
            return Err("an entry of traits has a sample that is none");
        }
        if let Some(breach) = &scores.last_breach
            && !(plain(&breach.response_id, 128)
                && breach.score.is_finite()
                && breach.threshold.is_finite())
        {
            return Err(
                "a lastBreach has a responseId that is no id, or a score that is no number",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sent(change: impl FnOnce(&mut Value)) -> SidecarReport {
        let mut report = json!({
            "instance": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "sequence": 1,
            "model": {"name": "smollm2", "state": "Ready"},
            "policies": [{"name": "no-villains", "uid": "u", "generation": 1}],
            "totals": {"responses": 1, "breaches": 1, "blocked": 0, "unguarded": 0},
            "traits": [{
                "policy": "no-villains", "vector": "evil", "action": "Alert", "scored": 1, "breaches": 1,
                "mean": 5.0, "sumSquaredDeviations": 0.0, "max": 5.0,
                "lastBreach": {"at": "2026-11-24T10:00:00Z", "score": 5.0, "threshold": 4.0, "responseId": "chatcmpl-1"}
            }]
        });
        change(&mut report);
        serde_json::from_value(report).unwrap()
    }

    #[test]
    fn a_plain_report_is_sound() {
        assert_eq!(sound(&sent(|_| {})), Ok(()));
    }

    #[test]
    fn invariant_5_nothing_that_could_carry_text_of_a_conversation_is_taken_where_an_id_belongs() {
        assert!(
            sound(&sent(
                |r| r["traits"][0]["lastBreach"]["responseId"] = json!("I will destroy you")
            ))
            .is_err()
        );
        assert!(sound(&sent(|r| r["traits"][0]["vector"] = json!("a b"))).is_err());
        assert!(sound(&sent(|r| r["instance"] = json!(""))).is_err());
    }

    #[test]
    fn a_sample_is_taken_only_if_it_can_be_one() {
        let sample = |mean: f64, count: u64, centroids: usize| {
            let centroid = json!({"mean": mean, "count": count});
            let sketch =
                json!({"sumSquaredDeviations": 0.5, "centroids": vec![centroid; centroids]});
            json!({"basis": personaguard_api::Digest::of(b"basis"), "sketch": sketch})
        };
        let with = |sample: Value| sound(&sent(|r| r["traits"][0]["sample"] = sample.clone()));
        assert_eq!(with(sample(1.0, 3, 64)), Ok(()));
        for bad in
            [sample(1e300, 3, 1), sample(1.0, 0, 1), sample(1.0, 1, 65), sample(1.0, u64::MAX, 2)]
        {
            assert!(with(bad).is_err());
        }
        for prompts in [
            json!(["be kind to all"]),
            json!(vec!["0123456789ab"; 9]),
            json!(["none", "0123456789ab"]),
        ] {
            let mut prompted = sample(1.0, 1, 1);
            prompted["systemPrompts"] = prompts;
            assert!(with(prompted).is_err());
        }
        let many = sent(|r| {
            r["traits"][0]["sample"] = sample(1.0, 1, 1);
            r["traits"] = json!(vec![r["traits"][0].clone(); MAX_SAMPLES + 1]);
        });
        assert!(sound(&many).is_err());
    }

    #[test]
    fn a_full_report_fits_a_body() {
        let name = "n".repeat(63);
        let centroids = vec![json!({"mean": -1_234.123_456, "count": 1_000_000}); 64];
        let sketch = json!({"sumSquaredDeviations": 123_456_789.123_456, "centroids": centroids});
        let full = sent(|r| {
            r["traits"][0]["policy"] = json!(name);
            r["traits"][0]["vector"] = json!(name);
            let mut traits = vec![r["traits"][0].clone(); 256];
            for scores in &mut traits[..MAX_SAMPLES] {
                scores["sample"] = json!({"basis": personaguard_api::Digest::of(b"basis"), "sketch": sketch, "systemPrompts": vec!["0123456789ab"; 8]});
            }
            r["traits"] = json!(traits);
        });
        let bytes = serde_json::to_vec(&full).unwrap().len();
        assert!(bytes < MAX_REPORT_BYTES * 9 / 10, "{bytes}");
    }

    #[test]
    fn what_would_fill_the_report_without_bound_is_refused() {
        let many: Vec<_> =
            (0..300).map(|_| json!({"name": "p", "uid": "u", "generation": 1})).collect();
        assert!(sound(&sent(|r| r["policies"] = json!(many))).is_err());
        assert!(sound(&sent(|r| r["configError"] = json!("x".repeat(5000)))).is_err());
        assert!(sound(&sent(|r| r["traits"][0]["mean"] = json!(1e300))).is_err());
    }
}

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
use personaguard_wire::{MAX_REPORT_BYTES, MAX_VECTOR_BYTES, SidecarReport};
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
    report.validate().map_err(|why| Answer::Malformed(why.to_string()))?;
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

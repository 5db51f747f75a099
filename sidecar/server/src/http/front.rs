//! What stands before a router: paths as clients spell them, an id for each request, and what
//! browsers ask first.

use axum::Router;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::response::Response;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// The header by which a client finds its request again.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is given back.
const MAX_REQUEST_ID: usize = 128;
/// How long a browser need not ask again.
const PREFLIGHT: Duration = Duration::from_secs(600);

/// The routes under the paths that `respell` makes of those that clients ask for.
pub(crate) fn front(routes: Router, respell: fn(&str) -> String) -> Router {
    let routes = TowerToHyperService::new(routes);
    Router::new().fallback(move |request: Request| answer(routes.clone(), respell, request))
}

async fn answer(
    routes: TowerToHyperService<Router>,
    respell: fn(&str) -> String,
    mut request: Request,
) -> Response {
    let id = request_id(request.headers().get(&REQUEST_ID));
    let path = respell(request.uri().path());
    if path != request.uri().path()
        && let Some(uri) = with_path(request.uri(), &path)
    {
        *request.uri_mut() = uri;
    }
    let Ok(mut response) = routes.call(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The client's own id, or a new one.
fn request_id(given: Option<&HeaderValue>) -> HeaderValue {
    let is_plain = |id: &&HeaderValue| {
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    given.filter(is_plain).cloned().unwrap_or_else(|| {
        let id = uuid::Uuid::new_v4().simple().to_string();
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    })
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let whole = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(whole).ok()?);
    Uri::from_parts(parts).ok()
}

/// Lets pages of any origin ask under the paths that `is_open` names, as vLLM and llama.cpp do: the
/// API has no cookies that a page could borrow.
pub(crate) fn open_to_browsers(is_open: fn(&str) -> bool) -> CorsLayer {
    let is_allowed = move |_: &HeaderValue, request: &Parts| is_open(request.uri.path());
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
        .max_age(PREFLIGHT)
}

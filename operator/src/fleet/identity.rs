//! Whose report it is: from the sidecar's projected token alone, as the API server reviews it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use personaguard_api::names;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Longest token in bytes.
const MAX_TOKEN: usize = 16 << 10;
/// Tokens whose review is remembered at most.
const MAX_REMEMBERED: usize = 10_000;
/// For how long. A token is good for as long as its pod exists, which is checked each time by other
/// means; an idle fleet must not keep the API server busy.
const REMEMBER: Duration = Duration::from_secs(600);
/// Reviews at the same time.
const MAX_REVIEWS: usize = 16;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// A pod that proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) uid: String,
}

/// Why a token identifies no pod.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unidentified {
    /// The token is not good.
    #[error("the token is not good: {0}")]
    Unauthenticated(String),
    /// It is good, but not a pod's.
    #[error("the token is not bound to a pod: use a projected ServiceAccount token")]
    NotAPod,
    /// Too many reviews at the same time.
    #[error("too many tokens are being reviewed")]
    Overloaded,
    /// The API server was not reached.
    #[error("the token could not be reviewed: {0}")]
    Api(#[from] kube::Error),
}

struct Remembered {
    identity: Identity,
    until: Instant,
}

pub(crate) struct Identities {
    api: Api<TokenReview>,
    reviews: Semaphore,
    /// By SHA-256 of the token.
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
}

impl Identities {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            api: Api::all(client),
            reviews: Semaphore::new(MAX_REVIEWS),
            remembered: Mutex::default(),
        }
    }

    /// The pod that a token belongs to.
    pub(crate) async fn of(&self, token: &str) -> Result<Identity, Unidentified> {
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(Unidentified::Unauthenticated("it is empty or too long".to_owned()));
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.lock().get(&hash).filter(|known| known.until > Instant::now()) {
            return Ok(known.identity.clone());
        }
        let _permit = self.reviews.try_acquire().map_err(|_| Unidentified::Overloaded)?;
        let spec = TokenReviewSpec {
            token: token.to_owned(),
            audiences: Some(vec![names::TOKEN_AUDIENCE.to_owned()]),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let status =
            self.api.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        let identity = identity(status)?;
        let until = Instant::now() + REMEMBER.min(left(token, Timestamp::now()));
        let mut remembered = self.lock();
        if remembered.len() >= MAX_REMEMBERED {
            let now = Instant::now();
            remembered.retain(|_, known| known.until > now);
            if remembered.len() >= MAX_REMEMBERED {
                remembered.clear();
            }
        }
        remembered.insert(hash, Remembered { identity: identity.clone(), until });
        Ok(identity)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(status: TokenReviewStatus) -> Result<Identity, Unidentified> {
    if status.authenticated != Some(true) {
        return Err(Unidentified::Unauthenticated(
            status.error.unwrap_or_else(|| "the API server does not know it".to_owned()),
        ));
    }
    let ours = status.audiences.iter().flatten().any(|audience| audience == names::TOKEN_AUDIENCE);
    if !ours {
        return Err(Unidentified::Unauthenticated(format!(
            "it is not for audience {}",
            names::TOKEN_AUDIENCE
        )));
    }
    let user = status.user.unwrap_or_default();
    let extra: BTreeMap<String, Vec<String>> = user.extra.unwrap_or_default();
    let single = |key: &str| match extra.get(key).map(Vec::as_slice) {
        Some([value]) => Ok(value.clone()),
        _ => Err(Unidentified::NotAPod),
    };
    let namespace =
        user.username.as_deref().and_then(|name| name.strip_prefix("system:serviceaccount:"));
    let (namespace, _) =
        namespace.and_then(|rest| rest.split_once(':')).ok_or(Unidentified::NotAPod)?;
    Ok(Identity { namespace: namespace.to_owned(), pod: single(POD_NAME)?, uid: single(POD_UID)? })
}

/// Time left to a token that the API server has just found good.
fn left(token: &str, now: Timestamp) -> Duration {
    let expiry = || {
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
        Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()
    };
    expiry().map_or(Duration::ZERO, |expiry| {
        Duration::try_from(expiry.duration_since(now)).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(change: impl FnOnce(&mut serde_json::Value)) -> TokenReviewStatus {
        let mut status = json!({
            "authenticated": true,
            "audiences": ["reports.personaguard.dev"],
            "user": {
                "username": "system:serviceaccount:support:default",
                "extra": {"authentication.kubernetes.io/pod-name": ["chat-1"], "authentication.kubernetes.io/pod-uid": ["u1"]}
            }
        });
        change(&mut status);
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn a_pod_is_who_its_token_says() {
        let identity = identity(status(|_| {})).unwrap();
        assert_eq!(
            identity,
            Identity { namespace: "support".into(), pod: "chat-1".into(), uid: "u1".into() }
        );
    }

    #[test]
    fn tokens_of_others_are_refused() {
        assert!(matches!(
            identity(status(|s| s["authenticated"] = json!(false))),
            Err(Unidentified::Unauthenticated(_))
        ));
        assert!(matches!(
            identity(status(|s| s["audiences"] = json!(["https://kubernetes"]))),
            Err(Unidentified::Unauthenticated(_))
        ));
        assert!(matches!(
            identity(status(|s| s["audiences"] = json!(null))),
            Err(Unidentified::Unauthenticated(_))
        ));
        assert!(matches!(
            identity(status(|s| s["user"]["extra"] = json!({}))),
            Err(Unidentified::NotAPod)
        ));
        assert!(matches!(
            identity(status(|s| s["user"]["username"] = json!("alice"))),
            Err(Unidentified::NotAPod)
        ));
    }

    #[test]
    fn a_token_is_remembered_no_longer_than_it_is_good() {
        let now = Timestamp::from_second(1000).unwrap();
        let token = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(left(&token(r#"{"exp": 1060}"#), now), Duration::from_secs(60));
        assert_eq!(left(&token(r#"{"exp": 900}"#), now), Duration::ZERO);
        assert_eq!(left(&token("{}"), now), Duration::ZERO);
        assert_eq!(left("opaque", now), Duration::ZERO);
    }
}

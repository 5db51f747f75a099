//! Which pod a push comes from: by its projected token alone, as the API server reviews it.

pub(super) use super::pod_identity::PodIdentity;
use super::reviews::{Remembered, Reviews};
use super::slots::Slots;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use personaguard_api::names;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

const MAX_TOKEN_BYTES: usize = 16 << 10;
/// For how long a review is cached, so that an idle fleet does not keep the API server busy. A
/// token is valid for as long as its pod exists, and that is checked on each push.
const CACHE_TTL: Duration = Duration::from_secs(600);
/// Reviews at the same time, for one peer and for all: anyone can ask for them.
const MAX_REVIEWS_PER_PEER: usize = 4;
const MAX_CONCURRENT_REVIEWS: usize = 32;
/// Of these, for all peers together of whom a token was refused lately: the others are for those
/// who come for the first time, as a new sidecar does.
const MAX_SUSPECT_REVIEWS: usize = 16;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Why a token identifies no pod.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("the token is not valid: {0}")]
    Unauthenticated(String),
    #[error("the token is not bound to a pod: use a projected ServiceAccount token")]
    NotAPod,
    #[error("too many tokens are being reviewed")]
    Overloaded,
    #[error("the token could not be reviewed")]
    Api(#[from] kube::Error),
}

pub(super) struct TokenReviewer {
    api: Api<TokenReview>,
    slots: Semaphore,
    suspect_slots: Semaphore,
    peers: Slots<IpAddr>,
    reviews: Mutex<Reviews>,
}

impl TokenReviewer {
    pub(super) fn new(client: Client) -> Self {
        let slots = Semaphore::new(MAX_CONCURRENT_REVIEWS);
        let suspect_slots = Semaphore::new(MAX_SUSPECT_REVIEWS);
        let peers = Slots::new(MAX_REVIEWS_PER_PEER);
        Self { api: Api::all(client), slots, suspect_slots, peers, reviews: Mutex::default() }
    }

    /// The pod that a token belongs to, which came from a peer.
    pub(super) async fn identify(
        &self,
        token: &str,
        peer: IpAddr,
    ) -> Result<PodIdentity, IdentityError> {
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
            return Err(IdentityError::Unauthenticated("it is empty or too long".to_owned()));
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        let remembered = self.reviews().remembered(&hash, Instant::now());
        match remembered {
            Some(Remembered::Accepted(identity)) => return Ok(identity),
            Some(Remembered::Refused(why)) => {
                self.reviews().suspect(peer, Instant::now());
                return Err(IdentityError::Unauthenticated(why));
            }
            None => {}
        }
        let suspect = self.reviews().suspects(peer, Instant::now());
        let busy = |_| IdentityError::Overloaded;
        let _suspect =
            suspect.then(|| self.suspect_slots.try_acquire()).transpose().map_err(busy)?;
        let _own = self.peers.take(&peer).ok_or(IdentityError::Overloaded)?;
        let identity = identity(self.review(token).await?);
        let mut reviews = self.reviews();
        match &identity {
            Ok(identity) => {
                let ttl = CACHE_TTL.min(remaining_lifetime(token, Timestamp::now()));
                reviews.accept(hash, identity.clone(), ttl, Instant::now());
            }
            Err(error) => {
                reviews.suspect(peer, Instant::now());
                if let IdentityError::Unauthenticated(why) = error {
                    reviews.refuse(hash, why, Instant::now());
                }
            }
        }
        identity
    }

    async fn review(&self, token: &str) -> Result<TokenReviewStatus, IdentityError> {
        let _slot = self.slots.try_acquire().map_err(|_| IdentityError::Overloaded)?;
        let spec = TokenReviewSpec {
            token: token.to_owned(),
            audiences: Some(vec![names::TOKEN_AUDIENCE.to_owned()]),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let review = self.api.create(&PostParams::default(), &review).await?;
        Ok(review.status.unwrap_or_default())
    }

    fn reviews(&self) -> MutexGuard<'_, Reviews> {
        // Each method leaves the maps valid after each statement.
        self.reviews.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(status: TokenReviewStatus) -> Result<PodIdentity, IdentityError> {
    if status.authenticated != Some(true) {
        let why = status.error.unwrap_or_else(|| "the API server does not know it".to_owned());
        return Err(IdentityError::Unauthenticated(why));
    }
    let mut audiences = status.audiences.iter().flatten();
    if !audiences.any(|audience| audience == names::TOKEN_AUDIENCE) {
        let why = format!("it is not for audience {}", names::TOKEN_AUDIENCE);
        return Err(IdentityError::Unauthenticated(why));
    }
    let user = status.user.unwrap_or_default();
    let extra: BTreeMap<String, Vec<String>> = user.extra.unwrap_or_default();
    let single = |key: &str| match extra.get(key).map(Vec::as_slice) {
        Some([value]) => Ok(value.clone()),
        _ => Err(IdentityError::NotAPod),
    };
    let account =
        user.username.as_deref().and_then(|name| name.strip_prefix("system:serviceaccount:"));
    let (namespace, _) =
        account.and_then(|account| account.split_once(':')).ok_or(IdentityError::NotAPod)?;
    Ok(PodIdentity {
        namespace: namespace.to_owned(),
        name: single(POD_NAME)?,
        uid: single(POD_UID)?,
    })
}

/// By the token's own claim: the API server has just found it valid.
fn remaining_lifetime(token: &str, now: Timestamp) -> Duration {
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
mod tests;

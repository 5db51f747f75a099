//! What a hub means by an answer that refuses, and what to do.

use super::Hub;
use crate::error::FetchError;
use crate::wanted::Wanted;
use reqwest::{Response, StatusCode};

/// The hub's own word for why it refuses.
const CODE: &str = "x-error-code";
/// The same, in a sentence.
const MESSAGE: &str = "x-error-message";
/// Longest sentence of a hub that is repeated, in characters.
const LONGEST: usize = 200;

/// How a token is given.
const GIVE: &str = "(HF_TOKEN, or tokenSecret of source.hub)";

/// The error that an answer of the hub means.
pub(super) fn refusal(hub: &Hub, response: &Response, wanted: &Wanted) -> FetchError {
    let header = |name: &str| response.headers().get(name).and_then(|it| it.to_str().ok());
    let (status, code) = (response.status(), header(CODE).unwrap_or_default());
    let (repo, shown) = (wanted.repo(), hub.shown());
    let denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if code == "GatedRepo" {
        let licence = format!("{repo} is gated: accept its licence at {shown}/{repo}, and give");
        return FetchError::Refused(match hub.has_token() {
            true => format!("{licence} the token {GIVE} of the account that accepted it"),
            false => format!("{licence} a token of that account {GIVE}"),
        });
    }
    let unknown = || {
        let access = match hub.has_token() {
            true => "the token may not read it",
            false => "it is private",
        };
        format!(
            "{shown} has no repository {repo}, or {access}: check its name, or give a token that \
             may read it {GIVE}"
        )
    };
    match (status, code) {
        (StatusCode::NOT_FOUND, "RepoNotFound") => FetchError::NotFound(unknown()),
        (StatusCode::NOT_FOUND, "RevisionNotFound") => FetchError::NotFound(format!(
            "{repo} has no revision {}: give a commit, a branch or a tag that it has",
            wanted.revision()
        )),
        (StatusCode::NOT_FOUND, _) => match wanted.file() {
            Some(file) => {
                FetchError::NotFound(format!("{repo} has no file {file} at {}", wanted.revision()))
            }
            None => FetchError::NotFound(format!("{wanted} is not at {shown}")),
        },
        (_, "RepoNotFound") => FetchError::Refused(unknown()),
        (StatusCode::UNAUTHORIZED, _) if !hub.has_token() => FetchError::Refused(unknown()),
        (StatusCode::UNAUTHORIZED, _) => FetchError::Refused(format!(
            "{shown} does not know the token: it has ended, or is another hub's; give a new one \
             {GIVE}"
        )),
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, _) => FetchError::Refused(
            "the proxy asks for a password: write it into its URL, http://USER:PASSWORD@HOST:PORT"
                .to_owned(),
        ),
        _ => {
            let said = header(MESSAGE).map(|said| {
                let said: String = said.chars().take(LONGEST).collect();
                format!(" ({said})")
            });
            let said = said.unwrap_or_default();
            let todo = match denied {
                true => format!("give a token that may read it {GIVE}"),
                false => "check endpoint, repository and revision".to_owned(),
            };
            FetchError::Refused(format!("{shown} refuses {repo}: {status}{said}; {todo}"))
        }
    }
}

//! The answers of both servers.

use crate::fault::Fault;
use crate::faults::{broken, next, plain};
use crate::state::{COMMIT, REPO, Seen, State};
use axum::body::Body;
use axum::response::Response;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::json;

/// The page of a portal that asks to log in.
const LOGIN: &str = "<!DOCTYPE html><html><body>Log in to go on</body></html>";

pub(crate) fn answer(state: &mut State, seen: &Seen) -> Response {
    if let Some(name) = seen.path.strip_prefix("/storage/") {
        return contents(state, seen, &name.replace("%2F", "/"), None);
    }
    if let Some(refused) = refused(state, seen) {
        return refused;
    }
    if let Some(about) = seen.path.strip_prefix("/api/models/") {
        return about_repo(state, about);
    }
    let Some(rest) = seen.path.strip_prefix(&format!("/{REPO}/resolve/")) else {
        return error(404, "RepoNotFound", "Repository not found");
    };
    let (revision, name) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_revision(revision) {
        return error(404, "RevisionNotFound", "Invalid rev id");
    }
    let Some(bytes) = state.files.get(name) else {
        return error(404, "EntryNotFound", "Entry not found");
    };
    if !is_large(name) {
        let etag = format!("\"{}\"", git_blob(bytes));
        return contents(state, seen, name, Some(&etag));
    }
    let tag = match state.no_digests {
        true => "5d41402abc4b2a76b9719d911017c592".to_owned(),
        false => hex::encode(digest(&SHA256, bytes)),
    };
    let to = format!("{}/storage/{}?signature=secret", state.storage, name.replace('/', "%2F"));
    Response::builder()
        .status(302)
        .header("location", to)
        .header("x-repo-commit", COMMIT)
        .header("x-linked-size", bytes.len())
        .header("x-linked-etag", format!("\"{tag}\""))
        .body(Body::from("Found"))
        .expect("a response")
}

fn is_large(name: &str) -> bool {
    name.ends_with(".gguf") || name.ends_with(".safetensors")
}

fn is_revision(name: &str) -> bool {
    ["main", COMMIT].contains(&name)
}

fn refused(state: &State, seen: &Seen) -> Option<Response> {
    let token = state.token.as_ref()?;
    match &seen.token {
        None => Some(error(401, "RepoNotFound", "Invalid username or password.")),
        Some(given) if given != token => Some(error(401, "", "Invalid credentials")),
        Some(_) if state.gated => Some(error(403, "GatedRepo", "Access is restricted.")),
        Some(_) => None,
    }
}

fn about_repo(state: &State, about: &str) -> Response {
    let Some(rest) = about.strip_prefix(REPO) else {
        return error(404, "RepoNotFound", "Repository not found");
    };
    let json = if rest == "/refs" {
        json!({ "branches": [{ "name": "main", "ref": "refs/heads/main" }], "tags": [] })
    } else if rest.strip_prefix("/revision/").is_some_and(is_revision) {
        let names = state.files.keys().map(|name| json!({ "rfilename": name }));
        json!({ "id": REPO, "sha": COMMIT, "siblings": names.collect::<Vec<_>>() })
    } else {
        return error(404, "RevisionNotFound", "Invalid rev id");
    };
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from(json.to_string()))
        .expect("a response")
}

/// A file, or the range of it that was asked for. The storage has entity tags of its own.
fn contents(state: &mut State, seen: &Seen, name: &str, etag: Option<&str>) -> Response {
    let fault = if seen.method == "GET" { next(state) } else { None };
    let Some(whole) = state.files.get(name).cloned() else { return plain(404, "no such object") };
    match &fault {
        Some(Fault::Status(status)) => return plain(*status, "a fault"),
        Some(Fault::LoginPage) => return plain(200, LOGIN),
        Some(Fault::Redirect(to)) => {
            let redirect = Response::builder().status(302).header("location", to);
            return redirect.body(Body::empty()).expect("a response");
        }
        _ => {}
    }
    let is_same = seen.if_range.as_deref().is_none_or(|tag| Some(tag) == etag);
    let first = seen
        .range
        .as_deref()
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let mut first = first.filter(|_| is_same && fault != Some(Fault::NoRanges));
    if fault == Some(Fault::WrongRange) {
        first = first.map(|first| first - 1);
    }
    if first.is_some_and(|first| first >= whole.len()) {
        return plain(416, "no such range");
    }
    let mut bytes = whole[first.unwrap_or(0)..].to_vec();
    let length = bytes.len();
    let mut response = Response::builder()
        .status(if first.is_some() { 206 } else { 200 })
        .header("content-length", length)
        .header("etag", etag.unwrap_or("\"of-the-storage\""));
    if etag.is_some() {
        response = response.header("x-repo-commit", COMMIT);
    }
    if let Some(first) = first {
        let range = format!("bytes {first}-{}/{}", whole.len() - 1, whole.len());
        response = response.header("content-range", range);
    }
    let body = match fault {
        _ if seen.method == "HEAD" => Body::empty(),
        Some(Fault::BreakOff(after)) => broken(&bytes[..after.min(length)], false),
        Some(Fault::Stall(after)) => broken(&bytes[..after.min(length)], true),
        Some(Fault::Damage) => {
            bytes[length - 1] ^= 0xff;
            Body::from(bytes)
        }
        _ => Body::from(bytes),
    };
    response.body(body).expect("a response")
}

fn error(status: u16, code: &str, message: &str) -> Response {
    Response::builder()
        .status(status)
        .header("x-error-code", code)
        .header("x-error-message", message)
        .body(Body::from(message.to_owned()))
        .expect("a response")
}

/// The id of a file in git.
fn git_blob(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", bytes.len()).as_bytes());
    context.update(bytes);
    hex::encode(context.finish())
}

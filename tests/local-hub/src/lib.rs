//! A model hub on this computer, for tests. It speaks the protocol of huggingface.co: small files
//! come from the hub itself, large ones by a redirect from a storage on another port. It records
//! what it is asked, and fails as it is told to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only for tests")]

mod answer;
mod faults;

pub use faults::Fault;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;

/// The repository that the hub has.
pub const REPO: &str = "acme/tiny-chat";
/// The commit that its branch `main` is.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Which of the two servers is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Server {
    Hub,
    Storage,
}

/// A request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Seen {
    pub server: Server,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub token: Option<String>,
    /// Whether the request has the form in which a proxy is asked.
    pub by_proxy: bool,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// The token without which nothing is given.
    token: Option<String>,
    gated: bool,
    faults: VecDeque<Fault>,
    seen: Vec<Seen>,
    storage: String,
}

/// A model hub on this computer. It ends with the runtime that it was started on.
#[derive(Clone, Debug)]
pub struct LocalHub {
    state: Arc<Mutex<State>>,
    /// Its URL.
    pub endpoint: String,
}

impl LocalHub {
    /// Starts a hub with these files in its repository.
    ///
    /// # Panics
    /// No port is free.
    pub async fn start(files: &[(&str, &[u8])]) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let storage = serve(Server::Storage, &state).await;
        let endpoint = serve(Server::Hub, &state).await;
        let hub = Self { state, endpoint };
        hub.state().storage = storage;
        for (name, bytes) in files {
            hub.put(name, bytes);
        }
        hub
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a file to the repository, or replaces it.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.state().files.insert(name.to_owned(), bytes.to_vec());
    }

    /// Gives nothing without this token.
    pub fn ask_for_token(&self, token: &str) {
        self.state().token = Some(token.to_owned());
    }

    /// Gives nothing before a licence is accepted.
    pub fn ask_for_licence(&self) {
        self.state().gated = true;
    }

    /// Has the next requests for contents fail, one after the other.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    /// What arrived since the last time.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }
}

async fn serve(server: Server, state: &Arc<Mutex<State>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let state = Arc::clone(state);
    let router = Router::new().fallback(move |request: Request| {
        let state = Arc::clone(&state);
        async move { respond(server, &state, &request) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn respond(server: Server, state: &Mutex<State>, request: &Request) -> Response {
    let header =
        |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
    let seen = Seen {
        server,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        range: header("range"),
        if_range: header("if-range"),
        token: header("authorization").map(|it| it.trim_start_matches("Bearer ").to_owned()),
        by_proxy: request.uri().host().is_some(),
    };
    let mut state = state.lock().unwrap();
    state.seen.push(seen.clone());
    answer::answer(&mut state, &seen)
}

//! The servers of a hub.

use crate::answer::answer;
use crate::fault::Fault;
use crate::state::{Seen, Server, State};
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum_server::tls_rustls::RustlsConfig;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;

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
        Self::start_at("127.0.0.1", files).await
    }

    /// The same on another address of this computer.
    ///
    /// # Panics
    /// No port is free there.
    pub async fn start_at(address: &str, files: &[(&str, &[u8])]) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let storage = serve(Server::Storage, address, &state).await;
        let endpoint = serve(Server::Hub, address, &state).await;
        let hub = Self { state, endpoint };
        hub.state().storage = storage;
        for (name, bytes) in files {
            hub.put(name, bytes);
        }
        hub
    }

    /// The same by HTTPS, but for the storage, and the authority of its certificate (PEM). A
    /// provider for TLS must have been chosen.
    ///
    /// # Panics
    /// No port is free.
    pub async fn start_with_tls(files: &[(&str, &[u8])]) -> (Self, String) {
        let mut hub = Self::start(files).await;
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (pem, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let tls = RustlsConfig::from_pem(pem.clone().into(), key.into()).await.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        hub.endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let router = router(Server::Hub, &hub.state);
        let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
        tokio::spawn(server.serve(router.into_make_service()));
        (hub, pem)
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

    /// Tells no digests of files, as some mirrors do.
    pub fn say_no_digests(&self) {
        self.state().no_digests = true;
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

async fn serve(server: Server, address: &str, state: &Arc<Mutex<State>>) -> String {
    let listener = TcpListener::bind((address, 0)).await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = router(server, state);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn router(server: Server, state: &Arc<Mutex<State>>) -> Router {
    let state = Arc::clone(state);
    Router::new().fallback(move |request: Request| {
        let state = Arc::clone(&state);
        async move { respond(server, &state, &request) }
    })
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
    answer(&mut state, &seen)
}

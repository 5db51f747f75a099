//! What goes wrong, and how that looks to a client.

use crate::State;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use std::io;

/// What goes wrong with one request for the contents of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after so many bytes.
    BreakOff(usize),
    /// Nothing more comes after so many bytes.
    Stall(usize),
    /// Bytes are others than they should be.
    Damage,
    /// The whole file comes, whatever range was asked for.
    NoRanges,
    /// Another range comes than was asked for.
    WrongRange,
    /// This status, with `retry-after: 0`.
    Status(u16),
    /// A page to log in.
    LoginPage,
    /// A file is another from now on.
    Change(&'static str, Vec<u8>),
    /// A redirect to where there is no encryption, or anywhere else.
    Redirect(String),
}

pub(crate) fn next(state: &mut State) -> Option<Fault> {
    loop {
        match state.faults.pop_front() {
            Some(Fault::Change(name, bytes)) => {
                state.files.insert(name.to_owned(), bytes);
            }
            other => return other,
        }
    }
}

/// A body that has so many bytes of the whole, and then fails or hangs.
pub(crate) fn broken(bytes: &[u8], stalls: bool) -> Body {
    let start = stream::iter([Ok::<_, io::Error>(Bytes::copy_from_slice(bytes))]);
    // What was written is sent before the connection ends.
    let pause = stream::once(async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        Err(io::Error::other("cut"))
    });
    match stalls {
        true => Body::from_stream(start.chain(stream::pending())),
        false => Body::from_stream(start.chain(pause)),
    }
}

pub(crate) fn plain(status: u16, text: &str) -> Response {
    let builder = Response::builder().status(status).header("retry-after", "0");
    builder.body(Body::from(text.to_owned())).expect("a response")
}

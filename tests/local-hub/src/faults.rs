//! How a fault looks to a client.

use crate::fault::Fault;
use crate::state::State;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use std::io;

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

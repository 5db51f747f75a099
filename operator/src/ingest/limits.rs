//! What a connection can make the server hold before a token was judged: little, since there may be
//! a thousand of them.

use axum_server::{Address, Server};

/// For the head of a request. A token takes at most half of it.
const MAX_HEAD_BYTES: u32 = 32 << 10;
/// Requests at the same time on one connection, over HTTP/2. A sidecar sends one.
const MAX_STREAMS: u32 = 8;
/// What is sent of a body before it is read, of one request and of all.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 128 << 10;

pub(crate) fn limited<A: Address, Acceptor>(
    mut server: Server<A, Acceptor>,
) -> Server<A, Acceptor> {
    let builder = server.http_builder();
    builder.http1().max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    server
}

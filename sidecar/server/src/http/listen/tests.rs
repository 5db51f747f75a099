use super::*;
use axum::body::Bytes;
use axum::routing::get;
use futures::stream;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

/// Sends for ever, and tells when it is dropped.
fn endless(dropped: CancellationToken) -> Router {
    let answer = async move || {
        let chunk = Ok::<_, Infallible>(Bytes::from(vec![b'x'; 64 << 10]));
        let guard = dropped.drop_guard();
        Body::from_stream(stream::unfold(guard, move |guard| {
            let chunk = chunk.clone();
            async { Some((chunk, guard)) }
        }))
    };
    Router::new().route("/", get(answer))
}

async fn connect(limits: Limits) -> (TcpStream, CancellationToken, CancellationToken) {
    let (dropped, stop) = (CancellationToken::new(), CancellationToken::new());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = endless(dropped.clone());
    tokio::spawn(listen(listener, router, limits, stop.clone(), Duration::ZERO));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    (client, dropped, stop)
}

#[tokio::test]
async fn number_22_a_client_that_stops_reading_is_let_go() {
    let limits = Limits { write_time: Duration::from_millis(300), ..Limits::default() };
    let (mut client, dropped, stop) = connect(limits).await;
    let mut some = vec![0; 1000];
    client.read_exact(&mut some).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(20), dropped.cancelled()).await;
    assert!(waited.is_ok(), "the answer is still held");
    stop.cancel();
}

#[tokio::test]
async fn number_22_a_client_that_reads_slowly_is_not() {
    let limits = Limits { write_time: Duration::from_secs(2), ..Limits::default() };
    let (mut client, dropped, stop) = connect(limits).await;
    let mut some = vec![0; 2 << 20];
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.read_exact(&mut some).await.unwrap();
    }
    assert!(!dropped.is_cancelled(), "let go after {:?}", limits.write_time);
    stop.cancel();
}

/// Gateways that are made for gRPC begin with HTTP/2. They are told, not left without a word.
#[tokio::test]
async fn a_client_that_begins_with_http2_is_told_to_use_http1() {
    let (listener, stop) =
        (TcpListener::bind(("127.0.0.1", 0)).await.unwrap(), CancellationToken::new());
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(async || "here"));
    tokio::spawn(listen(listener, router, Limits::default(), stop.clone(), Duration::ZERO));
    let mut client = TcpStream::connect(address).await.unwrap();
    for part in [&b"PR"[..], b"I * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\x04\0\0\0\0\0"] {
        client.write_all(part).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let mut answer = vec![0; 54];
    client.read_exact(&mut answer).await.unwrap();
    let (settings, goaway) = answer.split_at(9);
    assert_eq!(settings, [0, 0, 0, 4, 0, 0, 0, 0, 0]);
    assert_eq!(goaway[..9], [0, 0, 36, 7, 0, 0, 0, 0, 0], "36 bytes, GOAWAY, stream 0");
    assert_eq!(goaway[9..17], [0, 0, 0, 0, 0, 0, 0, 13], "no stream, HTTP_1_1_REQUIRED");
    assert_eq!(&goaway[17..], b"This server speaks HTTP/1.1.");
    // What only begins alike is HTTP/1.
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"P").await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    client.write_all(b"OST / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 405");
    stop.cancel();
}

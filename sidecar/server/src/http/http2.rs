//! Clients that begin with HTTP/2, which this server does not speak: they are told so in its words.

use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a client begins with that knows beforehand that a server speaks HTTP/2 (RFC 9113, 3.4). No
/// method of HTTP/1 begins like this.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// Wait for more of a beginning that may be either.
const RETRY: Duration = Duration::from_millis(10);
/// How long such a client is listened to.
const LINGER: Duration = Duration::from_secs(1);
/// An empty SETTINGS frame, and a GOAWAY frame with the error HTTP_1_1_REQUIRED (RFC 9113, 6.8) and
/// its text.
const REFUSAL: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x24\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0dThis server speaks HTTP/1.1.";

/// Whether a client begins with HTTP/2. Waits for its first bytes, and takes none.
pub(super) async fn is_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut begun = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut begun).await?;
        if length == 0 || begun[..length] != PREFACE[..length] {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Tells such a client that it must speak HTTP/1.1. What it sends meanwhile is read, since a socket
/// that is closed with unread bytes takes back what was written to it.
pub(super) async fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(REFUSAL).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    let drained = async {
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    tokio::time::timeout(LINGER, drained).await.unwrap_or(Ok(()))
}

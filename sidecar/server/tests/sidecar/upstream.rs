//! A model server by script: what it sends is said byte by byte, and so is how it fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What it does after a request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// Silent until the other side goes.
    Stall,
    /// Ends the connection with a reset.
    Reset,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// The server. Every connection answers one request by the script.
pub(crate) struct Scripted {
    pub(crate) url: String,
    script: Arc<Mutex<Vec<Step>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (script, seen) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        tokio::spawn({
            let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                    tokio::spawn(async move { drop(answer(stream, &script, &seen).await) });
                }
            }
        });
        Self { url, script, seen }
    }

    pub(crate) fn play(&self, steps: Vec<Step>) {
        *self.script.lock().unwrap() = steps;
    }

    /// Requests since the last call.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn answer(
    mut stream: TcpStream,
    script: &Mutex<Vec<Step>>,
    seen: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let request = read(&mut stream).await?;
    seen.lock().unwrap().push(request);
    let steps = script.lock().unwrap().clone();
    for step in steps {
        match step {
            Step::Send(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
            Step::Pause(time) => tokio::time::sleep(time).await,
            Step::Stall => {
                let mut rest = [0; 1024];
                while stream.read(&mut rest).await? > 0 {}
            }
            Step::Reset => {
                #[allow(
                    deprecated,
                    reason = "a linger of zero is what makes a reset, and blocks nothing"
                )]
                stream.set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
        }
    }
    stream.shutdown().await
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut body = bytes.split_off(end);
    let header = |name: &str| {
        head.lines().find_map(|line| {
            line.split_once(':')
                .filter(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.trim())
        })
    };
    if let Some(length) = header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        while body.len() < length {
            if stream.read_buf(&mut body).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    } else if header("transfer-encoding").is_some() {
        while !body.ends_with(b"0\r\n\r\n") {
            if stream.read_buf(&mut body).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    Ok(Seen { head, body })
}

/// A head, and a body that ends with the connection.
pub(crate) fn head(content_type: &str) -> Step {
    Step::Send(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nX-Upstream: yes\r\nConnection: \
                 close\r\n\r\n"
        )
        .into(),
    )
}

/// A whole answer.
pub(crate) fn whole(body: &serde_json::Value) -> Vec<Step> {
    vec![head("application/json"), Step::Send(body.to_string().into())]
}

/// A stream of these bytes, in pieces of a size.
pub(crate) fn stream(bytes: &[u8], piece: usize) -> Vec<Step> {
    let pieces = bytes.chunks(piece).map(|piece| Step::Send(piece.to_vec()));
    std::iter::once(head("text/event-stream")).chain(pieces).collect()
}

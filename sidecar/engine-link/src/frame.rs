//! Messages as they are cut from the socket's bytes.

use super::malformed::Malformed;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest message in bytes, its kind included.
pub(super) const MAX_MESSAGE: usize = 16 << 20;

/// One message, not yet read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) payload: Vec<u8>,
}

/// Why no more messages come.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Reads the next message; none at an orderly end.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, Broken> {
    let mut length = [0; 4];
    if from.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..]).await?;
    let length = u32::from_le_bytes(length) as usize;
    if !(1..=MAX_MESSAGE).contains(&length) {
        return Err(Malformed("a message is longer than any, or empty").into());
    }
    let kind = from.read_u8().await?;
    // It grows as bytes come: to announce a long message takes no memory here.
    let mut payload = Vec::new();
    from.take(length as u64 - 1).read_to_end(&mut payload).await?;
    match payload.len() + 1 == length {
        true => Ok(Some(Frame { kind, payload })),
        false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// A message as it is sent.
pub(super) fn written(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), &[kind][..], payload].concat()
}

//! One connection of the plugin, from its greeting to its end.

use super::foreign::OnCounted;
use super::frame::{Broken, read};
use super::link::{Connected, EngineLink};
use super::malformed::Malformed;
use super::message::{Hello, Message};
use personaguard_terms::with_causes;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// Longest wait for the greeting.
const GREETING: Duration = Duration::from_secs(10);
/// Longest time in which the plugin takes nothing of what it is told.
const STUCK: Duration = Duration::from_secs(30);

pub(super) async fn serve(link: &EngineLink, stream: UnixStream, on_counted: &OnCounted) {
    let (mut from, to) = stream.into_split();
    let hello = match tokio::time::timeout(GREETING, greeting(&mut from)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) => return refused(&error),
        Err(_) => return refused(&Malformed("nobody greeted").into()),
    };
    let Connected { number, outgoing, replaced } = link.connected(hello);
    tokio::select! {
        () = replaced.cancelled() => return,
        () = write(to, outgoing) => {}
        result = listen(link, number, &mut from, on_counted) => {
            if let Err(error) = result {
                refused(&error);
            }
        }
    }
    link.disconnected(number);
}

fn refused(error: &Broken) {
    tracing::error!(error = with_causes(error), "a connection to the engine's socket ends");
}

async fn greeting(from: &mut OwnedReadHalf) -> Result<Hello, Broken> {
    let missing = Malformed("the first message is no greeting");
    let frame = read(from).await?.ok_or(missing)?;
    match Message::read(&frame)? {
        Message::Hello(hello) => Ok(hello),
        _ => Err(missing.into()),
    }
}

async fn listen(
    link: &EngineLink,
    number: u64,
    from: &mut OwnedReadHalf,
    on_counted: &OnCounted,
) -> Result<(), Broken> {
    while let Some(frame) = read(from).await? {
        let counted = link.take(number, Message::read(&frame)?);
        on_counted.call(counted);
    }
    Ok(())
}

/// Sends what there is to send, until the other end takes no more.
async fn write(mut to: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Vec<u8>>) {
    while let Some(message) = outgoing.recv().await {
        match tokio::time::timeout(STUCK, to.write_all(&message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

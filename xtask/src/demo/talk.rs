//! Talks to the chat service through `kubectl port-forward`.

use super::SUPPORT;
use crate::kube::Kube;
use crate::workspace;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running `kubectl port-forward`, which ends on drop.
struct Forward {
    child: Child,
    /// Kept open: kubectl exits when it cannot log that it handles a connection.
    _output: BufReader<ChildStdout>,
    url: String,
}

impl Forward {
    fn start(kube: &Kube) -> Result<Self> {
        let mut child = kube
            .kubectl()
            .args(["-n", SUPPORT, "port-forward", "service/chat", ":80"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().context("kubectl has no output")?);
        output.read_line(&mut line)?;
        // "Forwarding from 127.0.0.1:40201 -> 8080"
        let address = line.split_whitespace().nth(2).map(str::to_owned);
        let forward = Self {
            child,
            _output: output,
            url: format!("http://{}", address.as_deref().unwrap_or_default()),
        };
        address.context("kubectl cannot forward a port to the chat service")?;
        Ok(forward)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `tests/demo/talk.py`.
///
/// # Errors
/// The service does not respond.
pub(crate) fn talk(kube: &Kube, python: &Path) -> Result<()> {
    let forward = Forward::start(kube)?;
    println!(
        "\n=== Talking to the chat service, with the stock openai client (tests/demo/talk.py)\n"
    );
    workspace::show(
        Command::new(python).arg(workspace::root().join("tests/demo/talk.py")).arg(&forward.url),
    )
}

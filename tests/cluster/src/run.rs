//! Running a program to its end, with errors that say what it printed.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// Runs a command to its end, output captured.
///
/// # Errors
/// It cannot be started, or fails: the error holds the last lines that it printed.
pub fn run(command: &mut Command) -> Result<()> {
    capture(command).map(drop)
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// It cannot be started, or fails: the error holds the last lines that it printed.
pub fn capture(command: &mut Command) -> Result<String> {
    let name = describe(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("starting {name}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(15)..].join("\n");
    bail!("{name}: {}\n{tail}", output.status)
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy()).take(8));
    words.join(" ")
}

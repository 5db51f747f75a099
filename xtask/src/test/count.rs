//! How many tests ran, by what cargo prints.

#[cfg(test)]
mod tests;

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl Count {
    /// Runs `cargo test`, shows what it prints, and adds the tests that it ran.
    ///
    /// # Errors
    /// It cannot be started, or a test fails.
    pub(super) fn run(&mut self, command: &mut Command) -> Result<()> {
        self.show(command, "cargo test", Self::add)
    }

    /// The same for `pytest`.
    ///
    /// # Errors
    /// It cannot be started, or a test fails.
    pub(super) fn pytest(&mut self, command: &mut Command) -> Result<()> {
        self.show(command, "pytest", Self::add_pytest)
    }

    fn show(&mut self, command: &mut Command, name: &str, add: fn(&mut Self, &str)) -> Result<()> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let output = child.stdout.take().with_context(|| format!("{name} has no output"))?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            add(self, &line);
        }
        let status = child.wait()?;
        ensure!(status.success(), "{name}: {status}");
        Ok(())
    }

    /// Adds what the last line of pytest says: `1 failed, 12 passed, 3 warnings in 4.56s`. Tests
    /// whose preparation failed are failed tests.
    fn add_pytest(&mut self, line: &str) {
        let Some((numbers, _)) = line.split_once(" in ") else { return };
        for part in numbers.trim_matches(['=', ' ']).split(", ") {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed" | "error" | "errors")) => {
                    self.failed += number.parse().unwrap_or(0);
                }
                _ => {}
            }
        }
    }

    /// Adds what one line of the output says: `test result: ok. 12 passed; 0 failed; …`.
    fn add(&mut self, line: &str) {
        let Some((_, numbers)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in numbers.split("; ") {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

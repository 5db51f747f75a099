//! What `cargo xtask test` says at its end.

#[cfg(test)]
mod tests;

use super::Step;
use super::count::Count;
use anyhow::{Result, bail, ensure};
use std::fmt::Write as _;
use std::time::Duration;

/// Tests of a step before crates and modules were rearranged: the rearrangement lost none.
fn before(step: Step) -> usize {
    match step {
        Step::Unit => 519,
        Step::E2e => 41,
        _ => 0,
    }
}

/// How each step went.
#[derive(Default)]
pub(super) struct Summary(Vec<Line>);

struct Line {
    step: Step,
    passed: bool,
    time: Duration,
    tests: Count,
}

impl Summary {
    pub(super) fn add(&mut self, step: Step, passed: bool, time: Duration, tests: Count) {
        self.0.push(Line { step, passed, time, tests });
    }

    /// Prints it. `all`: every test was asked for.
    ///
    /// # Errors
    /// A step failed, or tests are missing.
    pub(super) fn print_and_judge(&self, all: bool) -> Result<()> {
        eprint!("{}", self.table());
        let (passed, failed) = self.totals();
        println!("{passed} passed, {failed} failed");
        if self.0.iter().any(|line| !line.passed) {
            bail!("not every step passed");
        }
        for line in self.0.iter().filter(|_| all) {
            let (now, before) = (line.tests.passed, before(line.step));
            ensure!(now >= before, "{:?}: {now} tests, where there were {before}", line.step);
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = format!(
            "\n{:<10} {:<8} {:>6} {:>7} {:>8}\n",
            "step", "result", "time", "tests", "before"
        );
        for line in &self.0 {
            let result = if line.passed { "ok" } else { "FAILED" };
            let number = |count: usize| if count == 0 { "".into() } else { count.to_string() };
            let _ = writeln!(
                table,
                "{:<10} {result:<8} {:>5}s {:>7} {:>8}",
                format!("{:?}", line.step),
                line.time.as_secs(),
                number(line.tests.passed + line.tests.failed),
                number(before(line.step)),
            );
        }
        let sum = |of: fn(&Line) -> usize| self.0.iter().map(of).sum::<usize>();
        let time: Duration = self.0.iter().map(|line| line.time).sum();
        let _ = writeln!(
            table,
            "{:<10} {:<8} {:>5}s {:>7} {:>8}",
            "total",
            "",
            time.as_secs(),
            sum(|line| line.tests.passed + line.tests.failed),
            sum(|line| before(line.step)),
        );
        table
    }

    /// Tests that passed; and tests that failed, with the steps that failed in another way.
    fn totals(&self) -> (usize, usize) {
        let passed = self.0.iter().map(|line| line.tests.passed).sum();
        let failed = |line: &Line| match line.tests.failed {
            0 => usize::from(!line.passed),
            failed => failed,
        };
        (passed, self.0.iter().map(failed).sum())
    }
}

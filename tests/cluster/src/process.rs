//! Processes, identified by id and start time, so that another process that got the same id later
//! is never touched.

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::{Duration, Instant};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    start: u64,
    /// Id of the machine's boot.
    boot: String,
}

impl ProcessId {
    /// The process that currently has this id.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = Stat::read(pid).with_context(|| format!("process {pid} has ended"))?;
        Ok(Self { pid, start: stat.start, boot: boot()? })
    }

    /// Whether this process still runs.
    pub(crate) fn alive(&self) -> bool {
        boot().is_ok_and(|boot| boot == self.boot)
            && Stat::read(self.pid)
                .is_some_and(|stat| stat.start == self.start && stat.state != 'Z')
    }

    /// Kills this process and waits until it has ended.
    pub(crate) fn kill(&self) -> Result<()> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
        // Opened before the check, the descriptor refers to the process that is checked, even if
        // its id is reused.
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        if !self.alive() {
            return Ok(());
        }
        pidfd_send_signal(&descriptor, Signal::KILL)
            .with_context(|| format!("ending process {}", self.pid))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.alive() {
            anyhow::ensure!(Instant::now() < deadline, "process {} does not end", self.pid);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its first child, if it is an `nsenter --pid` or `unshare --fork`.
    pub(crate) fn child(&self) -> Option<Self> {
        let entries = fs::read_dir("/proc").ok()?;
        let pids =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let pid = pids
            .into_iter()
            .find(|pid| Stat::read(*pid).is_some_and(|stat| stat.parent == self.pid))?;
        Self::of(pid).ok()
    }
}

fn boot() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    state: char,
    parent: u32,
    start: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses. It may contain spaces and
    /// parentheses.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, start })
    }
}

#[cfg(test)]
mod tests;

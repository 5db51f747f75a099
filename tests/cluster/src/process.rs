//! Processes identified by id and start time, so that another process that was given the same id
//! later is never touched.

#[cfg(test)]
mod tests;

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::{Duration, Instant};

/// A process, unique across reboots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// When it started, in clock ticks since boot.
    start: u64,
    boot: String,
}

impl ProcessId {
    /// The process that has this id now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = Stat::read(pid).with_context(|| format!("process {pid} has ended"))?;
        Ok(Self { pid, start: stat.start, boot: boot()? })
    }

    /// Whether this very process is still running.
    pub(crate) fn alive(&self) -> bool {
        boot().is_ok_and(|boot| boot == self.boot)
            && Stat::read(self.pid)
                .is_some_and(|stat| stat.start == self.start && stat.state != 'Z')
    }

    /// Sends `SIGKILL` to this very process, and waits until it has ended.
    pub(crate) fn kill(&self) -> Result<()> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
        // The descriptor is opened before the check, so that the id cannot pass to another process
        // in between.
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

    /// Its child, which `nsenter --pid` or `unshare --fork` has started.
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

/// The fields of `/proc/PID/stat` that are used here.
struct Stat {
    state: char,
    parent: u32,
    start: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses. The name itself may contain spaces
    /// and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, start })
    }
}

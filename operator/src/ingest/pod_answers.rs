//! Which process a pod itself says that its sidecar is, where the address of a push does not tell:
//! what listens on the sidecar's port runs within the pod, and the sidecar is the first to start.

use crate::objects::PodView;
use personaguard_api::names;
use serde::Deserialize;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// For one pod.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Between questions to one pod: whoever sends pushes in its name asks for them.
const INTERVAL: Duration = Duration::from_secs(10);
/// Pods that are asked at the same time, and whose answers are remembered.
const MAX_ASKED: usize = 64;
const MAX_REMEMBERED: usize = 10_000;
const MAX_ANSWER_BYTES: usize = 256;

pub(super) struct PodAnswers {
    http: reqwest::Client,
    port: u16,
    slots: Semaphore,
    /// By the pod's UID: when it was asked, and what it said.
    answers: Mutex<HashMap<String, (Instant, Option<String>)>>,
}

#[derive(Deserialize)]
struct Answer {
    instance: String,
}

impl PodAnswers {
    pub(super) fn new(port: u16) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()?;
        let slots = Semaphore::new(MAX_ASKED);
        Ok(Self { http, port, slots, answers: Mutex::default() })
    }

    /// Whether the pod's sidecar is this process, by its own answer. False where it cannot be
    /// asked.
    pub(super) async fn is_sidecar(&self, pod: &PodView, instance: &str) -> bool {
        if let Some(known) = self.remembered(&pod.uid) {
            return known.as_deref() == Some(instance);
        }
        let Ok(_slot) = self.slots.try_acquire() else { return false };
        // Nobody else asks meanwhile.
        self.remember(&pod.uid, None);
        let mut said = None;
        for address in &pod.addresses {
            said = self.ask(*address).await;
            if said.is_some() {
                break;
            }
        }
        self.remember(&pod.uid, said.clone());
        said.as_deref() == Some(instance)
    }

    async fn ask(&self, address: IpAddr) -> Option<String> {
        let address = SocketAddr::new(address, self.port);
        let url = format!("http://{address}{}", names::INSTANCE_PATH);
        let mut response = self.http.get(url).send().await.ok()?.error_for_status().ok()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return None;
            }
        }
        serde_json::from_slice(&body).ok().map(|answer: Answer| answer.instance)
    }

    /// `None` if it was not asked lately.
    fn remembered(&self, uid: &str) -> Option<Option<String>> {
        let answers = self.answers();
        let (asked, answer) = answers.get(uid)?;
        (asked.elapsed() < INTERVAL).then(|| answer.clone())
    }

    fn remember(&self, uid: &str, answer: Option<String>) {
        let mut answers = self.answers();
        if answers.len() >= MAX_REMEMBERED {
            answers.retain(|_, (asked, _)| asked.elapsed() < INTERVAL);
        }
        if answers.len() < MAX_REMEMBERED || answers.contains_key(uid) {
            answers.insert(uid.to_owned(), (Instant::now(), answer));
        }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, (Instant, Option<String>)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! Delivers alerts. Each receiver has an outbox of its own, so that one that is down does not delay
//! the others.

use super::error::DeliveryError;
use super::firing::firing;
use super::http;
use super::outbox::Outbox;
use super::receiver::Receiver;
use crate::context::Context;
use crate::fleet::Fleet;
use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use personaguard_api::with_causes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Between checks of what is firing, if there is no new breach.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// After failed deliveries.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_delay(Duration::from_secs(60))
    .without_max_times();

/// Delivers for as long as the process leads.
pub(crate) async fn run(context: Arc<Context>, fleet: Arc<Fleet>) {
    let mut tasks = JoinSet::new();
    for receiver in Receiver::from_settings(&context.settings) {
        match Delivery::new(Arc::clone(&context), Arc::clone(&fleet), receiver) {
            Ok(delivery) => drop(tasks.spawn(delivery.run())),
            Err(error) => tracing::error!(%error, "no alerts are sent"),
        }
    }
    if tasks.join_next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

struct Delivery {
    context: Arc<Context>,
    fleet: Arc<Fleet>,
    receiver: Receiver,
    http: reqwest::Client,
    breaches: watch::Receiver<()>,
    outbox: Outbox,
}

impl Delivery {
    fn new(context: Arc<Context>, fleet: Arc<Fleet>, receiver: Receiver) -> reqwest::Result<Self> {
        let http = http::client().build()?;
        let outbox = Outbox::new(receiver.repeat_interval());
        let breaches = fleet.subscribe();
        Ok(Self { context, fleet, receiver, http, breaches, outbox })
    }

    async fn run(mut self) {
        let mut backoff = None;
        let mut wait = CHECK_INTERVAL;
        loop {
            // While the receiver is down, new breaches wait with the others.
            tokio::select! {
                _ = self.breaches.changed(), if backoff.is_none() => {}
                () = tokio::time::sleep(wait) => {}
            }
            if self.context.cluster.check_leading().is_err() {
                continue;
            }
            wait = match self.deliver_due(Timestamp::now()).await {
                Ok(()) => {
                    backoff = None;
                    CHECK_INTERVAL
                }
                Err(Undelivered { error, waiting }) => {
                    let backoff = backoff.get_or_insert_with(|| BACKOFF.build());
                    // The backoff has no end.
                    let wait = backoff.next().unwrap_or(CHECK_INTERVAL);
                    let (receiver, retry_in_s) = (self.receiver.name(), wait.as_secs());
                    let error = with_causes(&error);
                    tracing::warn!(receiver, error, waiting, retry_in_s, "a delivery failed");
                    wait
                }
            };
        }
    }

    /// Delivers everything that is due.
    async fn deliver_due(&mut self, now: Timestamp) -> Result<(), Undelivered> {
        let (receiver, metrics) = (self.receiver.name(), &self.context.metrics);
        let dropped = self.outbox.observe(firing(&self.context, &self.fleet, now), now);
        if dropped > 0 {
            tracing::error!(receiver, dropped, "too many alerts wait; the oldest were dropped");
            metrics.alerts(receiver, "dropped", dropped);
        }
        let batch = self.outbox.due(now);
        let (accepted, result) = self.receiver.deliver(&self.http, batch.alerts(), now).await;
        self.outbox.delivered(&batch, accepted, now);
        metrics.alerts(receiver, "delivered", accepted);
        result.map_err(|error| {
            metrics.alerts(receiver, "failed", 1);
            Undelivered { error, waiting: batch.alerts().len() - accepted }
        })
    }
}

/// A delivery that failed, and how many alerts wait for the next one.
struct Undelivered {
    error: DeliveryError,
    waiting: usize,
}

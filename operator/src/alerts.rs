//! Alerts about breaches and drift, where no Prometheus evaluates the chart's rules: sent to an
//! Alertmanager, a webhook, or both.

mod alert;
mod alertmanager;
mod delivery;
mod error;
mod firing;
mod http;
mod outbox;
mod receiver;
mod webhook;

pub(crate) use delivery::run;

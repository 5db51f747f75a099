//! `personaguard audit verify` and `personaguard replay` as people run them, on the logs that
//! `personaguard serve` wrote: exit codes, and what is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod audit_verify;
mod replay;
mod served;

//! The scenarios. Each runs on a real cluster, with a real model.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod s01_injection;
mod s02_openai_client;
mod s03_breach;
mod s04_live_edit;
mod s05_operator_outage;
mod s06_sidecar_killed;
mod s07_never_served;
mod s08_bad_policies;
mod s09_policy_deleted;
mod s10_idle;
mod s11_bad_requests;
mod s12_extraction;
mod s13_drift;
mod s14_dataset_screen;
mod s15_alertmanager;
mod s16_proxy;
mod s17_invariants;
mod s18_calibration;
mod s19_actions;
mod s20_tampering;
mod s21_never_met;
mod s22_hub;
mod s23_engine;
mod s24_jobs;
mod s25_engine_vector;
mod s31_unreadable;
mod s32_edits_in_force;
mod s33_refused_write;
mod s39_uninstall;

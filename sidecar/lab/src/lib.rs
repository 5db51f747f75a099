//! Work with persona vectors that serves no traffic: extracting, studying and calibrating them, and
//! using them on data sets and on finetuned models.

pub mod commands;
pub mod extract;

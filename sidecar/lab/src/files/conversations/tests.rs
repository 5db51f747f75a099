mod compatibility;
mod files;
mod messages;
mod shapes;
mod skipping;
mod support;

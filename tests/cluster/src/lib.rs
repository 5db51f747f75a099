//! A single-node Kubernetes cluster in a folder and a network namespace of its own, without Docker
//! or a registry.
//!
//! [`Cluster::up`] starts etcd, the control plane, containerd, kubelet, kube-proxy and CoreDNS as
//! ordinary processes in three namespaces of their own (network, mount, process ids), so that
//! [`Cluster::down`] leaves nothing behind: the process-id namespace ends with its first process,
//! the mount namespace takes every mount with it, the network namespace every bridge and iptables
//! rule. What is outside of them is one folder, one cgroup and one veth pair.
//!
//! Whoever has a cluster already needs none of it.

mod certificates;
mod cgroup;
mod cluster;
mod components;
mod config;
pub mod image;
mod network;
mod paths;
mod prerequisites;
mod process;
mod programs;
mod run;
mod sandbox;
mod state;

pub use cluster::{Cluster, Status};
pub use image::{Image, ImageFile};
pub use paths::{Cache, Layout};
pub use prerequisites::{install_packages, program_of};
pub use programs::ensure_programs;
pub use run::{capture, run};

/// Where progress goes: called with one short line for each step that takes time.
pub type Say<'a> = &'a dyn Fn(&str);

//! A single-node Kubernetes cluster in its own folder and namespaces, without Docker or a registry.
//!
//! [`Cluster::up`] starts etcd, the control plane, containerd, kubelet, kube-proxy and CoreDNS as
//! ordinary processes in new namespaces (network, mount, process ids), so that [`Cluster::down`]
//! leaves nothing behind: all processes end with the first one of the process-id namespace, mounts
//! go with the mount namespace, bridges and iptables rules with the network namespace. Outside of
//! them there are only a folder, a cgroup and a veth pair.
//!
//! Any other cluster will do as well; then this crate is not needed.

mod certificates;
mod cgroup;
mod cluster;
mod components;
mod config;
mod image;
mod network;
mod paths;
mod prerequisites;
mod process;
mod programs;
mod progress;
mod run;
mod sandbox;
mod state;

pub use cluster::{Cluster, Status};
pub use image::{Image, ImageFile};
pub use paths::{Cache, Layout};
pub use prerequisites::{install_packages, program_of};
pub use programs::ensure_programs;
pub use progress::Say;
pub use run::{capture, run};

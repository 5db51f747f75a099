//! A single-node Kubernetes cluster in a folder and namespaces of its own, without Docker or a
//! registry.
//!
//! [`Cluster::up`] starts etcd, the control plane, containerd, the kubelet, kube-proxy and CoreDNS
//! as ordinary processes in a network, a mount and a PID namespace. [`Cluster::down`] leaves
//! nothing behind: the PID namespace ends with its first process, the mount namespace takes every
//! mount with it, and the network namespace every bridge and iptables rule. Outside the namespaces
//! there are only one folder, one cgroup and one veth pair.
//!
//! If you already have a cluster, you need none of this.

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
pub use prerequisites::{find_program, install_packages};
pub use programs::ensure_programs;
pub use progress::OnStep;
pub use run::{capture, run};

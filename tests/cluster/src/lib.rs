//! A single-node Kubernetes cluster in a network namespace of its own.

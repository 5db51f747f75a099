//! What the work queue holds: names of things that may need to be reconciled.

use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use personaguard_api::{PersonaPolicy, names};

/// Namespace and name of an object. A cluster-scoped object has an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ObjectName {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn of(object: &impl Resource) -> Self {
        Self::new(object.meta().namespace.clone().unwrap_or_default(), object.name_any())
    }
}

/// The policies of one namespace that use one model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scope {
    pub(crate) namespace: String,
    pub(crate) model: String,
}

impl Scope {
    pub(crate) fn of_policy(policy: &PersonaPolicy) -> Self {
        Self { namespace: policy.namespace().unwrap_or_default(), model: policy.spec.model.clone() }
    }

    /// The scope that an object was written for, by its labels.
    pub(crate) fn of_labels(metadata: &ObjectMeta) -> Option<Self> {
        let model = metadata.labels.as_ref()?.get(names::MODEL_LABEL)?.clone();
        Some(Self { namespace: metadata.namespace.clone()?, model })
    }

    /// The scope whose config this is: one of another name only has the label.
    pub(crate) fn of_config(metadata: &ObjectMeta) -> Option<Self> {
        let scope = Self::of_labels(metadata)?;
        (metadata.name == Some(names::for_model(&scope.model))).then_some(scope)
    }
}

/// The controller of a pod (a ReplicaSet, a Job …), as the pod's owner reference names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// A kind that the operator watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Policy,
    Model,
    Vector,
    Report,
    Screen,
    Injection,
    ConfigMap,
    Pod,
    Service,
    Namespace,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Policy,
        Self::Model,
        Self::Vector,
        Self::Report,
        Self::Screen,
        Self::Injection,
        Self::ConfigMap,
        Self::Pod,
        Self::Service,
        Self::Namespace,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "PersonaPolicy",
            Self::Model => "PersonaModel",
            Self::Vector => "PersonaVector",
            Self::Report => "PersonaReport",
            Self::Screen => "DatasetScreen",
            Self::Injection => "PersonaInjection",
            Self::ConfigMap => "ConfigMap",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::Namespace => "Namespace",
        }
    }
}

/// Something to reconcile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Config, injection, and the status of each policy.
    Scope(Scope),
    /// Status of a `PersonaVector`, and its extraction.
    Vector(String),
    /// Status of a `PersonaModel`.
    Model(String),
    /// A `DatasetScreen`.
    Screen(ObjectName),
    /// A `PersonaReport`.
    Report(ObjectName),
    /// The workload behind the controller of a pod.
    Owner { namespace: String, owner: Owner },
    /// An object that cannot be read: that it says so.
    Unreadable { kind: Kind, name: ObjectName },
}

impl Key {
    /// For metrics and logs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Scope(_) => "PersonaPolicy",
            Self::Vector(_) => "PersonaVector",
            Self::Model(_) => "PersonaModel",
            Self::Screen(_) => "DatasetScreen",
            Self::Report(_) | Self::Owner { .. } => "PersonaReport",
            Self::Unreadable { kind, .. } => kind.as_str(),
        }
    }
}

//! Inputs that tests of the pure steps start from.

use crate::fixtures::{artifact, model, settings};
use crate::keys::Scope;
use crate::policy::dereference::Inputs;
use crate::policy::memory::Objects;
use personaguard_api::PersonaPolicy;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A namespace with the vector `evil`, its model, and these policies.
pub(crate) fn inputs(policies: Vec<PersonaPolicy>) -> Inputs {
    Inputs {
        scope: Scope { namespace: "support".into(), model: "smollm2".into() },
        settings: Arc::new(settings(&[])),
        authorities: "the authorities".into(),
        model: Some(Arc::new(model())),
        policies: policies.into_iter().map(Arc::new).collect(),
        deleted_policies: Vec::new(),
        others: Vec::new(),
        elsewhere: BTreeMap::new(),
        unreadable: Vec::new(),
        unreadable_pods: Vec::new(),
        unreadable_services: Vec::new(),
        vectors: BTreeMap::from([("evil".to_owned(), Ok(artifact(b"weights", 8)))]),
        pods: Vec::new(),
        services: Vec::new(),
        failed_creations: Vec::new(),
        reports: BTreeMap::new(),
        config_map: None,
        injection: None,
        found: Objects::default(),
        look_again: None,
        exclusion: None,
    }
}

//! The config of a scope as the cluster has it: what is in force, also after a restart of the
//! operator. Pure.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use personaguard_api::names;
use personaguard_persona::{layer_digest, read_vector_bundle};
use personaguard_wire::{GuardConfig, ResolvedPolicy, ResolvedVector, ServedModel};
use std::collections::{BTreeMap, BTreeSet};

/// A stored config.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    Absent,
    /// Its text is of another version. Nothing is known of it.
    Unreadable,
    Read(Box<StoredConfig>),
}

/// What pods of the model's present weights have, and what those of former ones have.
#[derive(Clone, Debug)]
pub(crate) struct StoredConfig {
    pub(crate) present: Edition,
    /// By the identity of their model.
    pub(crate) former: BTreeMap<String, Edition>,
}

/// The config for one identity of the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edition {
    pub(crate) config: GuardConfig,
    pub(crate) layers: BTreeMap<String, Vec<f32>>,
}

/// A policy as it is in force, with its vectors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InForce {
    pub(crate) policy: ResolvedPolicy,
    pub(crate) vectors: Vec<(String, ResolvedVector, Vec<f32>)>,
}

impl Stored {
    pub(crate) fn read(map: Option<&ConfigMap>) -> Self {
        let Some(map) = map else { return Self::Absent };
        StoredConfig::read(map).map_or(Self::Unreadable, |config| Self::Read(Box::new(config)))
    }

    pub(crate) fn config(&self) -> Option<&StoredConfig> {
        match self {
            Self::Read(config) => Some(config),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

impl StoredConfig {
    fn read(map: &ConfigMap) -> Option<Self> {
        let present = Edition::read(map, names::CONFIG_FILE, names::VECTORS_FILE)?;
        let mut former = BTreeMap::new();
        for key in map.data.iter().flatten().map(|(key, _)| key) {
            let identity =
                key.strip_prefix(names::FORMER_PREFIX).and_then(|it| it.strip_suffix(".yaml"));
            if let Some(identity) = identity {
                let edition = Edition::read(map, key, &names::former_vectors(identity))?;
                former.insert(identity.to_owned(), edition);
            }
        }
        Some(Self { present, former })
    }

    /// Every edition, by the identity of its model.
    pub(crate) fn editions(&self) -> impl Iterator<Item = (String, &Edition)> {
        let former = self.former.iter().map(|(identity, edition)| (identity.clone(), edition));
        std::iter::once((self.present.identity(), &self.present)).chain(former)
    }

    /// The edition for a model: of the same identity, or else of the same weights, which policies
    /// in force go on with.
    pub(crate) fn edition_for(&self, model: &ServedModel) -> Option<&Edition> {
        let identity = model.identity();
        let editions = || self.editions();
        let same = editions().find(|(known, _)| *known == identity);
        let same =
            same.or_else(|| editions().find(|(_, it)| it.config.model.sha256 == model.sha256));
        same.map(|(_, edition)| edition)
    }

    /// Whether any edition has a policy of this UID.
    pub(crate) fn has(&self, uid: &str) -> bool {
        self.editions().any(|(_, edition)| edition.policy(uid).is_some())
    }
}

impl Edition {
    fn read(map: &ConfigMap, config: &str, vectors: &str) -> Option<Self> {
        let text = map.data.as_ref()?.get(config)?;
        let config = GuardConfig::from_yaml(text.as_bytes()).ok()?;
        let file = map.binary_data.as_ref().and_then(|data| data.get(vectors));
        let layers = match file {
            Some(ByteString(file)) => read_vector_bundle(file).ok()?,
            None => BTreeMap::new(),
        };
        Some(Self { config, layers })
    }

    pub(crate) fn identity(&self) -> String {
        self.config.model.identity()
    }

    pub(crate) fn policy(&self, uid: &str) -> Option<&ResolvedPolicy> {
        self.config.policies.iter().find(|policy| policy.uid == uid)
    }

    /// A policy with its vectors, unless one is missing, is damaged, or belongs to other weights.
    pub(crate) fn in_force(&self, uid: &str) -> Option<InForce> {
        let policy = self.policy(uid)?;
        let vector = |name: String| {
            let vector = self.config.vectors.get(&name)?;
            let values = self.layers.get(&name)?;
            let fits = vector.model_digest == self.config.model.sha256
                && layer_digest(values) == vector.sha256.as_str();
            fits.then(|| (name, vector.clone(), values.clone()))
        };
        let vectors = policy.vectors().map(vector).collect::<Option<_>>()?;
        Some(InForce { policy: policy.clone(), vectors })
    }

    /// Without policies that are being deleted.
    pub(crate) fn without(mut self, deleted: &BTreeSet<String>) -> Self {
        self.config.policies.retain(|policy| !deleted.contains(&policy.uid));
        self
    }

    /// Serves, and enforces nothing.
    pub(crate) fn emptied(mut self) -> Self {
        self.config.policies.clear();
        self.config.unresolved.clear();
        self.config.vectors.clear();
        self.layers.clear();
        self
    }
}

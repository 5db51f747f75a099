//! Policies that are enforced together: none contradicts another, and they fit a ConfigMap. Pure.

use crate::policy::stored::InForce;
use personaguard_api::PersonaModel;
use personaguard_api::conditions::reason;
use personaguard_resolve::{self as resolve, MAX_CONFIG_BYTES, Rejection, VectorInput};
use personaguard_wire::{GuardConfig, ResolvedPolicy};
use std::collections::BTreeMap;

/// Bytes that a tensor's name and header take beside its values, at most.
const TENSOR_OVERHEAD: usize = 100;

#[derive(Clone)]
pub(super) struct Choice<'a> {
    model: &'a PersonaModel,
    vectors: &'a BTreeMap<String, VectorInput>,
    /// Bytes of the ConfigMap that are taken.
    reserved: usize,
    new: Vec<ResolvedPolicy>,
    /// Policies that stay as they were.
    previous: Vec<InForce>,
}

type Assembled = (GuardConfig, BTreeMap<String, Vec<f32>>);

impl<'a> Choice<'a> {
    pub(super) fn new(
        model: &'a PersonaModel,
        vectors: &'a BTreeMap<String, VectorInput>,
        reserved: usize,
    ) -> Self {
        Self { model, vectors, reserved, new: Vec::new(), previous: Vec::new() }
    }

    /// A policy stays as it is in force. What was in force together is no contradiction.
    pub(super) fn keep(&mut self, previous: Option<&InForce>) {
        self.previous.extend(previous.cloned());
    }

    /// Adds a policy, if it goes with the others.
    pub(super) fn add(&mut self, new: &ResolvedPolicy) -> Result<(), Rejection> {
        let mut others = self.new.clone();
        others.extend(self.kept().cloned());
        self.new.push(resolve::no_conflict(new.clone(), &others)?);
        let fits = self.try_assemble().and_then(|assembled| self.fits(&assembled));
        if fits.is_err() {
            self.new.pop();
        }
        fits
    }

    /// Puts a policy in the place of the one that is in force, if it goes with the others.
    pub(super) fn replace(&mut self, new: &ResolvedPolicy) -> Result<(), Rejection> {
        let mut trial = self.clone();
        trial.previous.retain(|old| old.policy.uid != new.uid);
        trial.add(new)?;
        *self = trial;
        Ok(())
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = &ResolvedPolicy> {
        self.previous.iter().map(|old| &old.policy)
    }

    pub(super) fn assemble(&self) -> Assembled {
        // Each policy was added only if this works.
        let (mut config, layers) = self
            .try_assemble()
            .unwrap_or_else(|_| resolve::assemble(self.model, self.vectors, Vec::new()));
        // One that stays may have been resolved when the model was served otherwise.
        let digests: Vec<_> = config.policies.iter().map(|it| config.enforced(it)).collect();
        for (policy, digest) in config.policies.iter_mut().zip(digests) {
            policy.digest = Some(digest);
        }
        (config, layers)
    }

    fn try_assemble(&self) -> Result<Assembled, Rejection> {
        let (mut config, mut layers) =
            resolve::assemble(self.model, self.vectors, self.new.clone());
        for InForce { policy, vectors } in &self.previous {
            for (name, vector, values) in vectors {
                if config.vectors.get(name).is_some_and(|newer| newer != vector) {
                    return Err(older_vector(&policy.name, name));
                }
                config.vectors.insert(name.clone(), vector.clone());
                layers.insert(name.clone(), values.clone());
            }
            config.policies.push(policy.clone());
        }
        config.policies.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((config, layers))
    }

    fn fits(&self, (config, layers): &Assembled) -> Result<(), Rejection> {
        let size = self.reserved + size(config, layers);
        if size <= MAX_CONFIG_BYTES { Ok(()) } else { Err(too_large(&config.model.name, size)) }
    }
}

/// Size of a config in a ConfigMap, in bytes.
pub(super) fn size(config: &GuardConfig, layers: &BTreeMap<String, Vec<f32>>) -> usize {
    let text = config.to_yaml().map_or(0, |text| text.len());
    let tensor = |(name, values): (&String, &Vec<f32>)| {
        name.len() + TENSOR_OVERHEAD + size_of_val(values.as_slice())
    };
    text + layers.iter().map(tensor).sum::<usize>()
}

fn too_large(model: &str, size: usize) -> Rejection {
    let message = format!(
        "The policies of model `{model}` in this namespace and their vectors take {size} bytes, \
         but a ConfigMap holds {MAX_CONFIG_BYTES}: use fewer vectors here, or spread the policies \
         over several namespaces."
    );
    Rejection::new(reason::CONFIG_TOO_LARGE, message)
}

fn older_vector(policy: &str, vector: &str) -> Rejection {
    let message = format!(
        "policy `{policy}` stays in force as it was, with an earlier version of PersonaVector \
         `{vector}`, and a config holds one: see condition Accepted of that policy first"
    );
    Rejection::new(reason::VECTOR_NOT_READY, message)
}

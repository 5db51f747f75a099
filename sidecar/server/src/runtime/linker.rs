//! The loop of placement Engine: it keeps what is in force in step with the config folder, and the
//! plugin's vectors in step with both.

use super::app_state::AppState;
use super::config_follower::{ConfigFollower, Followed};
use super::in_force::InForce;
use super::linked_model::{LinkedModel, vectors_of};
use super::message::failure;
use super::model_state::ModelState;
use super::served::Served;
use crate::config::{Config, Source};
use personaguard_engine_link::{EngineLink, Hello, LinkState, Loaded, VectorSet};
use personaguard_guard::{ModelFacts, Serving};
use personaguard_terms::conditions::reason;
use personaguard_wire::Failure;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Follows the config folder and the plugin. Nothing is in force that the plugin has not
/// acknowledged the vectors of.
#[derive(Debug)]
pub struct Linker {
    app: Arc<AppState>,
    link: Arc<EngineLink>,
    follower: ConfigFollower,
    config: Option<Arc<Config>>,
    /// What caches are named by.
    secret: Arc<str>,
    /// On which connection which set was last sent.
    sent: Option<(u64, u64)>,
    /// The config, connection and set that are in force.
    applied: Option<(Arc<Config>, u64, u64)>,
}

impl Linker {
    /// One that has read nothing yet.
    #[must_use]
    pub fn new(app: Arc<AppState>, link: Arc<EngineLink>, source: Source) -> Self {
        let follower = ConfigFollower::new(source);
        let secret = uuid::Uuid::new_v4().simple().to_string().into();
        Self { app, link, follower, config: None, secret, sent: None, applied: None }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut ticks, mut link) = (ConfigFollower::ticks(), self.link.watch());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.look().await,
                // It never ends: this holds the sender.
                Ok(()) = link.changed() => {
                    self.app.metrics.engine.set_plugin(self.link.state().hello.as_deref());
                    self.apply();
                }
            }
        }
    }

    async fn look(&mut self) {
        let Followed::Read(config) = self.follower.look(&self.app).await else { return };
        if self.config.as_deref() != Some(&*config) {
            self.config = Some(Arc::from(config));
        }
        self.app.config_applied();
        self.apply();
    }

    fn apply(&mut self) {
        let Some(config) = self.config.clone() else { return };
        self.app.expect(&config.guard);
        let LinkState { connection, hello, loaded } = self.link.state();
        let Some(hello) = hello else {
            let message = "the plugin in the model server has not connected, or is gone: start \
                           the server with it, and with the socket of this sidecar \
                           (PERSONAGUARD_SOCKET)";
            return self.fail(&config, failure(reason::ENGINE_NOT_CONNECTED, message));
        };
        if let Err(failure) = check_weights(&config, &hello) {
            return self.fail(&config, failure);
        }
        let in_force = InForce::new(&config, &facts(&config, &hello), &serving(&hello));
        let set = match vectors_of(&in_force.plan, hello.hidden, hello.slots) {
            Ok(set) => set,
            Err(failure) => return self.fail(&config, failure),
        };
        match loaded {
            // There is nothing to acknowledge.
            _ if set.slots.is_empty() => self.put_in_force(config, connection, in_force, set),
            Some(Loaded { set: number, error: None }) if number == set.number => {
                self.put_in_force(config, connection, in_force, set);
            }
            Some(Loaded { set: number, error: Some(error) }) if number == set.number => {
                let message =
                    format!("the plugin in the model server refuses the vectors: {error}");
                self.fail(&config, failure(reason::ENGINE_REFUSES, &message));
            }
            _ => {
                if self.sent != Some((connection, set.number)) {
                    self.sent = Some((connection, set.number));
                    self.link.load(&set);
                }
                // On the same connection, what is in force stays until it acknowledges.
                if self.applied.as_ref().is_none_or(|(_, applied, _)| *applied != connection) {
                    let message = "the plugin in the model server has not acknowledged the \
                                   vectors yet";
                    self.fail(&config, failure(reason::ENGINE_NOT_CONNECTED, message));
                }
            }
        }
    }

    fn put_in_force(
        &mut self,
        config: Arc<Config>,
        connection: u64,
        in_force: InForce,
        set: VectorSet,
    ) {
        let is_applied = self.applied.as_ref().is_some_and(|(applied, on, number)| {
            Arc::ptr_eq(applied, &config) && *on == connection && *number == set.number
        });
        if is_applied {
            return;
        }
        self.applied = Some((config, connection, set.number));
        let (link, secret) = (Arc::clone(&self.link), Arc::clone(&self.secret));
        let linked = LinkedModel::new(in_force, link, set, secret);
        self.app.put_in_force(Served::Linked(Arc::new(linked)));
    }

    fn fail(&mut self, config: &Config, failure: Failure) {
        self.applied = None;
        self.app.set_model(&config.guard.model.name, ModelState::Failed(failure));
    }
}

/// Vectors say something about the weights alone that they were made on.
fn check_weights(config: &Config, hello: &Hello) -> Result<(), Failure> {
    let expected = &config.guard.model.sha256;
    let message = match &hello.sha256 {
        Some(served) if served == expected => return Ok(()),
        Some(served) => format!(
            "the model server has loaded weights with the digest {served}, and the PersonaModel \
             names {expected}: serve those, or correct spec.sha256 and use vectors that were made \
             on what is served"
        ),
        None => "the plugin cannot tell which weights the model server has loaded, and its log \
                 says why: serve a folder as model hubs have it, or a GGUF file"
            .to_owned(),
    };
    Err(failure(reason::DIGEST_MISMATCH, &message))
}

/// Width and blocks are the engine's own, which has the weights that the config names.
fn facts(config: &Config, hello: &Hello) -> ModelFacts {
    ModelFacts {
        digest: config.guard.model.sha256.clone(),
        layers: hello.layers,
        hidden: hello.hidden,
    }
}

fn serving(hello: &Hello) -> Serving {
    Serving::Vllm {
        version: hello.vllm.clone(),
        plugin: hello.plugin.clone(),
        dtype: hello.dtype.clone(),
        quantization: hello.quantization.clone(),
        lora: hello.lora,
    }
}

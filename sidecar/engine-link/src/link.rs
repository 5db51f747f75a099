//! The link to the plugin, whoever holds the other end at the moment.

use super::inbox::Inbox;
use super::message::{self, Counts, Hello, Loaded, Message};
use super::states_inbox::StatesInbox;
use super::vector_set::VectorSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Messages that wait for the plugin at most: one more is not sent.
const MAX_OUTGOING: usize = 1024;

/// What is known of the plugin.
#[derive(Clone, Debug, Default)]
pub struct LinkState {
    /// Counts connections.
    pub connection: u64,
    /// Which engine it is in, while it is connected.
    pub hello: Option<Arc<Hello>>,
    /// Which vectors it last said that it has.
    pub loaded: Option<Loaded>,
}

/// The link to the plugin.
#[derive(Debug, Default)]
pub struct EngineLink {
    inbox: Inbox,
    states: StatesInbox,
    state: watch::Sender<LinkState>,
    current: Mutex<Current>,
}

/// The connection that counts.
#[derive(Debug, Default)]
struct Current {
    outgoing: Option<mpsc::Sender<Vec<u8>>>,
    replaced: CancellationToken,
    counts: Counts,
}

/// What a connection has to do.
pub(super) struct Connected {
    pub(super) number: u64,
    pub(super) outgoing: mpsc::Receiver<Vec<u8>>,
    /// Another one has taken its place.
    pub(super) replaced: CancellationToken,
}

/// What the plugin has counted anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) foreign: u64,
    pub(super) dropped: u64,
}

impl EngineLink {
    pub(super) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    pub(super) fn states(&self) -> &StatesInbox {
        &self.states
    }

    /// What is known of the plugin now.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Follows [`Self::state`].
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    /// Has the plugin take these vectors in place of those that it has. What comes of it is in
    /// [`Self::state`].
    pub fn load(&self, set: &VectorSet) {
        self.send(message::vectors(set));
    }

    /// The engine is to end a request.
    pub(super) fn abort(&self, id: &str) {
        self.send(message::abort(id));
    }

    /// The plugin is to say when it has told what it has measured of a request by now.
    pub(super) fn sync(&self, id: &str) {
        self.send(message::sync(id));
    }

    fn send(&self, message: Vec<u8>) {
        let current = self.lock();
        if let Some(outgoing) = &current.outgoing
            && outgoing.try_send(message).is_err()
        {
            tracing::warn!("the plugin in the model server takes no messages");
        }
    }

    /// A plugin has said which engine it is in: its connection takes the place of any other.
    pub(super) fn connected(&self, hello: Hello) -> Connected {
        let (sender, outgoing) = mpsc::channel(MAX_OUTGOING);
        let replaced = CancellationToken::new();
        let mut current = self.lock();
        let former = std::mem::replace(
            &mut *current,
            Current {
                outgoing: Some(sender),
                replaced: replaced.clone(),
                counts: Counts::default(),
            },
        );
        former.replaced.cancel();
        self.inbox.lose_all();
        self.states.lose_all();
        tracing::info!(
            plugin = hello.plugin,
            vllm = hello.vllm,
            model = hello.model,
            layers = hello.layers,
            hidden = hello.hidden,
            runner = hello.runner,
            dtype = hello.dtype,
            quantization = hello.quantization,
            weights = hello.sha256.as_ref().map(tracing::field::display),
            "the plugin in the model server has connected"
        );
        let mut number = 0;
        self.state.send_modify(|state| {
            number = state.connection + 1;
            *state = LinkState { connection: number, hello: Some(Arc::new(hello)), loaded: None };
        });
        Connected { number, outgoing, replaced }
    }

    /// A connection has ended.
    pub(super) fn disconnected(&self, number: u64) {
        let mut current = self.lock();
        if self.state.borrow().connection != number {
            return;
        }
        current.outgoing = None;
        self.inbox.lose_all();
        self.states.lose_all();
        tracing::error!("the plugin in the model server is gone");
        self.state.send_modify(|state| (state.hello, state.loaded) = (None, None));
    }

    /// Takes a message of a connection. Gives what the plugin has counted since the last time.
    pub(super) fn take(&self, number: u64, message: Message<'_>) -> Counted {
        let mut current = self.lock();
        if self.state.borrow().connection != number {
            return Counted::default();
        }
        match message {
            // A second greeting says nothing new.
            Message::Hello(_) => {}
            Message::Loaded(loaded) => self.state.send_modify(|it| it.loaded = Some(loaded)),
            Message::Rows(rows) => self.inbox.take(&rows),
            Message::States(states) => self.states.take(&states),
            Message::Synced(id) => self.inbox.synced(id),
            Message::Counts(counts) => {
                let before = std::mem::replace(&mut current.counts, counts);
                return Counted {
                    foreign: counts.foreign.saturating_sub(before.foreign),
                    dropped: counts.dropped.saturating_sub(before.dropped),
                };
            }
        }
        Counted::default()
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        // What it holds is valid after each statement.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

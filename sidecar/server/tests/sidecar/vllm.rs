//! vLLM with the plugin, by script: answers as its HTTP server writes them, and on the engine's
//! socket what the plugin tells of each token. A token is measured one step after it was written,
//! and the last one is not.

mod answers;

use answers::{whole, write};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// Tokens of each prompt.
pub(crate) const PROMPT: u32 = 5;

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a token without text.
    Eos,
    Length,
    /// By a stop string, within the last token.
    StopString,
}

/// What goes wrong on the socket, at a token of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its row is missing.
    Gap(usize),
    /// From there on nothing is told.
    Silence(usize),
    /// Its row is one of other vectors.
    OtherSet(usize),
    /// Its row is no number.
    NotANumber(usize),
    /// The plugin is gone.
    Gone(usize),
    /// What came before is told again, with other numbers.
    Again(usize),
    /// Something that is no message.
    Noise(usize),
}

/// An answer, and how it comes.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) tokens: Vec<(String, f32)>,
    pub(crate) prompt_score: f32,
    pub(crate) end: End,
    /// Tokens of one chunk.
    pub(crate) merge: usize,
    /// Tokens that a parser keeps for itself.
    pub(crate) swallowed: BTreeSet<usize>,
    /// By how much rows are behind.
    pub(crate) late: Option<Duration>,
    /// Between tokens.
    pub(crate) pace: Option<Duration>,
    pub(crate) fault: Option<Fault>,
    /// Whether an answer can be read as a prompt.
    pub(crate) reads_on: bool,
    /// The request is refused.
    pub(crate) is_refused: bool,
    /// By how much events are late at most, each by as much as it happens.
    pub(crate) dawdles: u64,
}

impl Script {
    pub(crate) fn of(scores: &[f32]) -> Self {
        let word = |(number, score): (usize, &f32)| (format!("w{number} "), *score);
        Self {
            tokens: scores.iter().enumerate().map(word).collect(),
            prompt_score: 0.0,
            end: End::Eos,
            merge: 1,
            swallowed: BTreeSet::new(),
            late: None,
            pace: None,
            fault: None,
            reads_on: true,
            is_refused: false,
            dawdles: 0,
        }
    }

    /// What the first `count` tokens say.
    pub(crate) fn text(&self, count: usize) -> String {
        let said = |(number, (text, _)): (usize, &(String, f32))| {
            (!self.swallowed.contains(&number)).then(|| text.clone())
        };
        self.tokens[..count].iter().enumerate().filter_map(said).collect()
    }

    fn written(&self) -> usize {
        self.tokens.len() + usize::from(self.end == End::Eos)
    }
}

/// The server.
pub(crate) struct Vllm {
    pub(crate) url: String,
    shared: Arc<Shared>,
    socket: PathBuf,
    /// Digest of the weights that it says it has.
    digest: String,
}

#[derive(Default)]
struct Shared {
    script: Mutex<Option<Script>>,
    /// Scripts of requests with these seeds.
    seeded: Mutex<BTreeMap<i64, Script>>,
    /// Scripts of the next answers, one each.
    next: Mutex<VecDeque<Script>>,
    /// By how many milliseconds messages on the socket are late at most.
    slow: AtomicU64,
    bodies: Mutex<Vec<Value>>,
    aborted: Mutex<Vec<String>>,
    plugin: Mutex<Option<Plugin>>,
    /// Why vectors are refused.
    refuses: Mutex<Option<String>>,
    /// Vectors that were sent: set, layers.
    sets: Mutex<Vec<(u64, Vec<u32>)>>,
    written: AtomicUsize,
}

struct Plugin {
    say: mpsc::UnboundedSender<Vec<u8>>,
    _stop: oneshot::Sender<()>,
}

pub(crate) fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).unwrap().to_le_bytes();
    [&length[..], &[kind], payload].concat()
}

impl Vllm {
    pub(crate) async fn start(socket: &Path, digest: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, socket: socket.to_owned(), digest: digest.to_owned() }
    }

    /// The plugin connects to the sidecar.
    pub(crate) async fn connect(&self, hidden: usize) {
        self.connect_as(&self.hello(hidden)).await;
    }

    /// How the plugin greets.
    pub(crate) fn hello(&self, hidden: usize) -> Value {
        json!({
            "protocol": 1, "plugin": "0.1.0", "vllm": "0.32.0", "runner": "V1", "model": "m",
            "hidden": hidden, "layers": 12, "dtype": "float32", "quantization": null,
            "tensor_parallel": 1, "slots": 16, "max_rows": 64, "sha256": self.digest,
        })
    }

    pub(crate) async fn connect_as(&self, hello: &Value) {
        let (mut from, mut to) = UnixStream::connect(&self.socket).await.unwrap().into_split();
        to.write_all(&message(1, hello.to_string().as_bytes())).await.unwrap();
        let (say, mut said) = mpsc::unbounded_channel::<Vec<u8>>();
        let (stop, mut stopped) = oneshot::channel();
        *self.shared.plugin.lock().unwrap() = Some(Plugin { say: say.clone(), _stop: stop });
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let write = async {
                while let Some(bytes) = said.recv().await {
                    late(shared.slow.load(Ordering::Relaxed)).await;
                    if to.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            };
            let read = async {
                while let Ok(length) = from.read_u32_le().await {
                    let kind = from.read_u8().await.unwrap();
                    let mut payload = vec![0; length as usize - 1];
                    from.read_exact(&mut payload).await.unwrap();
                    heard(&shared, kind, &payload, &say);
                }
            };
            tokio::select! {
                () = write => {}
                () = read => {}
                _ = &mut stopped => {}
            }
        });
    }

    pub(crate) fn disconnect(&self) {
        *self.shared.plugin.lock().unwrap() = None;
    }

    pub(crate) fn play(&self, script: Script) {
        *self.shared.script.lock().unwrap() = Some(script);
    }

    /// Requests with these seeds get other answers, one each.
    pub(crate) fn play_seeded(&self, first: i64, scripts: impl IntoIterator<Item = Script>) {
        *self.shared.seeded.lock().unwrap() = (first..).zip(scripts).collect();
    }

    /// The next requests get these answers, one each.
    pub(crate) fn play_in_turn(&self, scripts: impl IntoIterator<Item = Script>) {
        *self.shared.next.lock().unwrap() = scripts.into_iter().collect();
    }

    /// Messages on the socket are late, each by as much as it happens, and keep their order.
    pub(crate) fn slow_down(&self, most: u64) {
        self.shared.slow.store(most, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, why: Option<&str>) {
        *self.shared.refuses.lock().unwrap() = why.map(str::to_owned);
    }

    /// The engine has other vectors than the sidecar believes.
    pub(crate) fn forget_sets(&self) {
        self.shared.sets.lock().unwrap().push((1, vec![3]));
    }

    /// Something on the socket.
    pub(crate) fn say(&self, bytes: Vec<u8>) {
        self.shared.say(bytes);
    }

    /// Bodies of requests since the last call.
    pub(crate) fn take_bodies(&self) -> Vec<Value> {
        std::mem::take(&mut self.shared.bodies.lock().unwrap())
    }

    /// Ids of requests that were to end, since the last call.
    pub(crate) fn take_aborted(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.aborted.lock().unwrap())
    }

    pub(crate) fn sets(&self) -> Vec<(u64, Vec<u32>)> {
        self.shared.sets.lock().unwrap().clone()
    }

    /// Tokens that were written since the start.
    pub(crate) fn written(&self) -> usize {
        self.shared.written.load(Ordering::Relaxed)
    }
}

fn heard(shared: &Shared, kind: u8, payload: &[u8], say: &mpsc::UnboundedSender<Vec<u8>>) {
    match kind {
        65 => {
            let set = u64::from_le_bytes(payload[..8].try_into().unwrap());
            let hidden = u32::from_le_bytes(payload[9..13].try_into().unwrap()) as usize;
            let layers = payload[13..].chunks_exact(4 + 4 * hidden);
            let layers = layers.map(|slot| u32::from_le_bytes(slot[..4].try_into().unwrap()));
            let layers: Vec<_> = layers.collect();
            assert_eq!(layers.len(), usize::from(payload[8]));
            assert!((1..=16).contains(&layers.len()));
            let error = shared.refuses.lock().unwrap().clone();
            if error.is_none() {
                shared.sets.lock().unwrap().push((set, layers));
            }
            let _ =
                say.send(message(2, json!({ "set": set, "error": error }).to_string().as_bytes()));
        }
        67 => drop(say.send(message(6, payload))),
        66 => shared.aborted.lock().unwrap().push(String::from_utf8(payload.to_vec()).unwrap()),
        other => panic!("there is no message of kind {other}"),
    }
}

/// Up to so many milliseconds, by chance.
async fn late(most: u64) {
    if most > 0 {
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=most))).await;
    }
}

impl Shared {
    fn say(&self, bytes: Vec<u8>) {
        if let Some(plugin) = &*self.plugin.lock().unwrap() {
            let _ = plugin.say.send(bytes);
        }
    }
}

/// Rows of one request: each has the same number for all vectors.
pub(crate) fn rows(
    set: u64,
    slots: usize,
    id: &str,
    prompt: u32,
    first: u32,
    scores: &[f32],
) -> Vec<u8> {
    let mut payload = set.to_le_bytes().to_vec();
    payload.push(slots as u8);
    payload.extend(1u16.to_le_bytes());
    payload.push(id.len() as u8);
    payload.extend(id.as_bytes());
    [prompt, first, scores.len() as u32].iter().for_each(|it| payload.extend(it.to_le_bytes()));
    for score in scores {
        (0..slots).for_each(|_| payload.extend(score.to_le_bytes()));
    }
    message(3, &payload)
}

/// Tells what is measured of one request, in the order of its steps.
struct Teller {
    shared: Arc<Shared>,
    late: mpsc::UnboundedSender<Vec<u8>>,
    script: Script,
    set: u64,
    slots: usize,
    id: String,
}

impl Teller {
    fn new(shared: Arc<Shared>, script: Script, plan: &Value) -> Self {
        let (late, mut waiting) = mpsc::unbounded_channel::<Vec<u8>>();
        let (behind, to) = (script.late, Arc::clone(&shared));
        tokio::spawn(async move {
            while let Some(bytes) = waiting.recv().await {
                tokio::time::sleep(behind.unwrap_or_default()).await;
                to.say(bytes);
            }
        });
        let sets = shared.sets.lock().unwrap().clone();
        let (set, layers) = sets.last().cloned().unwrap_or_default();
        let id = plan["id"].as_str().unwrap_or_default().to_owned();
        Self { shared, late, script, set, slots: layers.len(), id }
    }

    fn tell(&self, bytes: Vec<u8>) {
        match self.script.late {
            // It has no plan.
            _ if self.id.is_empty() => {}
            None => self.shared.say(bytes),
            Some(_) => drop(self.late.send(bytes)),
        }
    }

    fn prompt(&self) {
        self.tell(self.rows(self.set, PROMPT - 1, &[self.script.prompt_score]));
    }

    fn rows(&self, set: u64, first: u32, scores: &[f32]) -> Vec<u8> {
        rows(set, self.slots, &self.id, PROMPT, first, scores)
    }

    /// The engine has read a token of the answer.
    fn token(&self, number: usize) {
        let score = self.script.tokens.get(number).map_or(0.0, |(_, score)| *score);
        let at = PROMPT + number as u32;
        match self.script.fault {
            Some(Fault::Gap(at)) if at == number => {}
            Some(Fault::Silence(at)) if at <= number => {}
            Some(Fault::OtherSet(n)) if n == number => {
                self.tell(self.rows(self.set + 1, at, &[score]));
            }
            Some(Fault::NotANumber(n)) if n == number => {
                self.tell(self.rows(self.set, at, &[f32::NAN]));
            }
            Some(Fault::Gone(n)) if n == number => *self.shared.plugin.lock().unwrap() = None,
            Some(Fault::Noise(n)) if n == number => self.tell(b"\xff\xff\xff\xffnoise".to_vec()),
            Some(Fault::Again(n)) if n == number => {
                let again = vec![-99.0; number + 1];
                self.tell(self.rows(self.set, PROMPT - 1, &again));
                self.tell(self.rows(self.set, at, &[score]));
            }
            _ => self.tell(self.rows(self.set, at, &[score])),
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    shared.bodies.lock().unwrap().push(body.clone());
    let plan = body["vllm_xargs"]["personaguard"].as_str().map(serde_json::from_str::<Value>);
    let plan = plan.map_or(Value::Null, Result::unwrap);
    let set = shared.sets.lock().unwrap().last().map(|(set, _)| set.to_string());
    if plan["set"].as_str() != set.as_deref() {
        let error = json!({ "error": { "message": "another set", "type": "BadRequestError" } });
        return (StatusCode::BAD_REQUEST, axum::Json(error)).into_response();
    }
    let seed = body["seed"].as_i64();
    let seeded = seed.and_then(|seed| shared.seeded.lock().unwrap().get(&seed).cloned());
    let next = (!plan["prompt"].is_u64()).then(|| shared.next.lock().unwrap().pop_front());
    let script = seeded
        .or_else(|| next.flatten())
        .or_else(|| shared.script.lock().unwrap().clone())
        .unwrap();
    if script.is_refused {
        let error = json!({ "error": { "message": "no", "type": "BadRequestError" } });
        return (StatusCode::BAD_REQUEST, axum::Json(error)).into_response();
    }
    let teller = Teller::new(Arc::clone(&shared), script.clone(), &plan);
    if plan["prompt"].is_u64() {
        return read_on(&teller, &script, &body);
    }
    if body["stream"] != true {
        teller.prompt();
        for number in 0..script.written() {
            if number > 0 {
                teller.token(number - 1);
            }
            tokio::time::sleep(script.pace.unwrap_or_default()).await;
            shared.written.fetch_add(1, Ordering::Relaxed);
        }
        return axum::Json(whole(&script, uri.path(), &body)).into_response();
    }
    let (events, received) = mpsc::channel::<String>(1024);
    let (api, dawdles) = (uri.path().to_owned(), script.dawdles);
    tokio::spawn(async move { write(teller, script, &api, &body, &events).await });
    let received = stream::unfold(received, move |mut received| async move {
        let event = received.recv().await?;
        late(dawdles).await;
        Some((Ok::<_, std::io::Error>(event), received))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(received)).into_response()
}

/// The answer is read as a prompt: its last token is measured.
fn read_on(teller: &Teller, script: &Script, body: &Value) -> Response {
    if !script.reads_on {
        let error = json!({ "error": { "message": "too long", "type": "BadRequestError" } });
        return (StatusCode::BAD_REQUEST, axum::Json(error)).into_response();
    }
    let length = body["prompt"].as_array().unwrap().len() as u32;
    let (_, score) = script.tokens.last().unwrap();
    let row = rows(teller.set, teller.slots, &teller.id, length, length - 1, &[*score]);
    teller.tell(row);
    axum::Json(json!({ "object": "text_completion", "choices": [{ "text": "x" }] })).into_response()
}

use super::*;
use personaguard_engine_link::MAX_SLOTS;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

const HIDDEN: usize = 4;

fn hello(changed: &Value) -> Value {
    let mut hello = json!({
        "protocol": 1, "plugin": "0.1.0", "vllm": "0.32.0", "runner": "V1", "model": "m",
        "hidden": HIDDEN, "layers": 8, "dtype": "float32", "quantization": null, "slots": 16,
        "states": true, "sha256": "ab".repeat(32),
    });
    for (field, value) in changed.as_object().unwrap() {
        hello[field] = value.clone();
    }
    hello
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).unwrap();
    [&length.to_le_bytes(), &[kind][..], payload].concat()
}

/// A plugin that connects once somebody listens, and takes every set of vectors. Gives how many
/// vectors each had.
fn plugin(socket: &Path, changed: &Value) -> Arc<Mutex<Vec<usize>>> {
    let sets = Arc::new(Mutex::new(Vec::new()));
    let (socket, taken) = (socket.to_owned(), Arc::clone(&sets));
    let hello = frame(1, hello(changed).to_string().as_bytes());
    thread::spawn(move || {
        let mut stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        };
        stream.write_all(&hello).unwrap();
        let mut length = [0; 4];
        while stream.read_exact(&mut length).is_ok() {
            let mut message = vec![0; u32::from_le_bytes(length) as usize];
            stream.read_exact(&mut message).unwrap();
            assert_eq!(message[0], 65);
            taken.lock().unwrap().push(usize::from(message[9]));
            let set = u64::from_le_bytes(*message[1..].first_chunk().unwrap());
            let answer = json!({ "set": set, "error": null }).to_string();
            stream.write_all(&frame(2, answer.as_bytes())).unwrap();
        }
    });
    sets
}

fn settings(socket: PathBuf, wait: Duration) -> VllmSettings {
    VllmSettings { url: "http://127.0.0.1:9".to_owned(), socket, model: None, wait }
}

async fn refusal(changed: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    plugin(&socket, changed);
    let settings = settings(socket, Duration::from_secs(10));
    Vllm::connect(&settings).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_engine_that_cannot_be_used_is_told_with_what_to_do() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    assert!(refusal(&json!({ "states": false })).await.contains("PERSONAGUARD_STATES=1"));
    assert!(refusal(&json!({ "sha256": null })).await.contains("which weights"));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let nobody = settings(socket.clone(), Duration::from_millis(50));
    let error = Vllm::connect(&nobody).await.unwrap_err().to_string();
    assert!(error.contains(&format!("PERSONAGUARD_SOCKET={}", socket.display())), "{error}");
    let _other = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = Vllm::connect(&nobody).await.unwrap_err().to_string();
    assert!(error.contains("another process listens"), "{error}");
    assert!(socket.exists(), "the other one's socket stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_vectors_are_tried_in_sets_none_of_which_goes_while_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let mut connection = Connection::open(&socket).unwrap();
    let sets = plugin(&socket, &json!({}));
    let hello = connection.hello(Duration::from_secs(10)).await.unwrap();
    let vectors = Vectors::new(Arc::clone(connection.link()), &hello);
    let rows: Vec<Vec<f32>> = (1..=40).map(|n| vec![n as f32; HIDDEN]).collect();
    let tries = (0..4).flat_map(|_| rows.iter()).map(async |row| {
        let held = vectors.hold(3, row).await.unwrap();
        assert!(held.slot() < MAX_SLOTS);
        let set = held.set();
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(held.set(), set);
    });
    futures::future::join_all(tries).await;
    let sizes = sets.lock().unwrap().clone();
    assert!(sizes.iter().all(|size| (1..=MAX_SLOTS).contains(size)));
    assert!(sizes.iter().sum::<usize>() >= 40 && sizes.len() <= 10, "{sizes:?}");
}

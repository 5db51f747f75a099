use super::frame::{Broken, Frame, MAX_MESSAGE, read, written};
use super::inbox::{RowFault, Taken};
use super::link::EngineLink;
use super::malformed::Malformed;
use super::message::{Hello, Loaded, Message, Part, Rows};
use super::{MeanState, MeasuredRequest, NoStates, StatesRequest, VectorSet};
use personaguard_terms::Layer;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const SET: u64 = 7;

fn hello() -> Hello {
    let hello = json!({
        "protocol": 1, "plugin": "0.1.0", "vllm": "0.32.0", "runner": "V1", "model": "m",
        "hidden": 4, "layers": 8, "dtype": "float32", "quantization": null,
        "tensor_parallel": 1, "slots": 16, "max_rows": 64,
    });
    serde_json::from_value(hello).unwrap()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A link with a plugin at its other end, and a request that it measures.
fn measured() -> (Arc<EngineLink>, u64, MeasuredRequest) {
    let link = Arc::new(EngineLink::default());
    let number = link.connected(hello()).number;
    let request = MeasuredRequest::new(&link, SET);
    (link, number, request)
}

/// Tells one projection for each position from `first` on, of a prompt of three tokens.
fn tell(link: &EngineLink, number: u64, id: &str, first: u32, values: &[f32]) {
    let values = bytes(values);
    let part = Part { id, prompt: 3, first, values: &values };
    link.take(number, Message::Rows(Rows { set: SET, slots: 1, parts: vec![part] }));
}

fn taken(request: &MeasuredRequest) -> (Vec<f32>, Option<RowFault>) {
    let Taken { rows, fault, .. } = request.take();
    (rows.concat(), fault)
}

#[test]
fn rows_come_in_their_order_each_once() {
    let (link, number, request) = measured();
    tell(&link, number, request.id(), 2, &[0.5, 1.0]);
    tell(&link, number, "another", 9, &[9.0]);
    assert_eq!(taken(&request), (vec![0.5, 1.0], None));
    // After a preemption some are told again: the first word stands.
    tell(&link, number, request.id(), 2, &[8.0, 8.0, 2.0]);
    assert_eq!(taken(&request), (vec![2.0], None));
    tell(&link, number, request.id(), 5, &[]);
    assert_eq!(taken(&request), (vec![], None));
}

#[test]
fn rows_of_the_prompt_before_its_last_token_do_not_count() {
    let (link, number, request) = measured();
    tell(&link, number, request.id(), 0, &[7.0, 7.0, 0.5]);
    assert_eq!(taken(&request), (vec![0.5], None));
}

#[test]
fn what_is_no_sequel_is_a_fault() {
    let gap = |link: &EngineLink, number, id: &str| tell(link, number, id, 4, &[1.0]);
    let of = |set, slots, prompt| {
        move |link: &EngineLink, number, id: &str| {
            let values = bytes(&vec![1.0; slots]);
            let part = Part { id, prompt, first: 3, values: &values };
            link.take(number, Message::Rows(Rows { set, slots, parts: vec![part] }));
        }
    };
    type Say = Box<dyn Fn(&EngineLink, u64, &str)>;
    let cases: [(Say, RowFault); 6] = [
        (Box::new(gap), RowFault::Gap),
        (Box::new(of(SET + 1, 1, 3)), RowFault::Other),
        (Box::new(of(SET, 0, 3)), RowFault::Other),
        (Box::new(of(SET, 1, 4)), RowFault::Other),
        (Box::new(|link, number, _| link.disconnected(number)), RowFault::Lost),
        (Box::new(|link, _, _| drop(link.connected(hello()))), RowFault::Lost),
    ];
    for (say, fault) in cases {
        let (link, number, request) = measured();
        tell(&link, number, request.id(), 2, &[0.5]);
        say(&link, number, request.id());
        assert_eq!(taken(&request), (vec![0.5], Some(fault)), "what came before counts");
        tell(&link, number, request.id(), 3, &[1.0]);
        assert_eq!(taken(&request), (vec![], Some(fault)), "and nothing after it does");
    }
}

#[test]
fn a_plugin_that_is_gone_measures_nothing() {
    let link = Arc::new(EngineLink::default());
    assert_eq!(taken(&MeasuredRequest::new(&link, SET)), (vec![], Some(RowFault::Lost)));
}

#[test]
fn a_former_connection_says_nothing_more() {
    let (link, number, _) = measured();
    let _new = link.connected(hello());
    let request = MeasuredRequest::new(&link, SET);
    tell(&link, number, request.id(), 2, &[9.0]);
    link.disconnected(number);
    assert_eq!(taken(&request), (vec![], None));
    assert!(link.state().hello.is_some());
}

#[test]
fn one_row_can_be_waited_for_alone() {
    let (link, number, _) = measured();
    let request = MeasuredRequest::at(9, &link, SET);
    tell(&link, number, request.id(), 6, &[1.0, 1.0]);
    assert_eq!(taken(&request), (vec![], None));
    tell(&link, number, request.id(), 8, &[1.0, 4.0, 1.0]);
    tell(&link, number, request.id(), 9, &[5.0]);
    assert_eq!(taken(&request), (vec![4.0], None));
}

#[test]
fn what_nobody_reads_does_not_fill_the_memory() {
    let (link, number, request) = measured();
    let many = vec![0.0; 1 << 19];
    tell(&link, number, request.id(), 2, &many);
    tell(&link, number, request.id(), 2 + (1 << 19), &many);
    tell(&link, number, request.id(), 2 + (1 << 20), &[0.0]);
    let Taken { rows, fault, .. } = request.take();
    assert_eq!((rows.len(), fault), (1 << 20, Some(RowFault::TooMany)));
    // Of all requests together no more wait than of eight such.
    let others: Vec<_> = (0..9).map(|_| MeasuredRequest::new(&link, SET)).collect();
    for other in &others {
        tell(&link, number, other.id(), 2, &vec![0.0; 1 << 20]);
    }
    let refused = others.iter().filter(|other| other.take().fault == Some(RowFault::TooMany));
    assert_eq!(refused.count(), 1);
    drop(others);
    tell(&link, number, MeasuredRequest::new(&link, SET).id(), 2, &many);
}

#[test]
fn a_request_that_is_given_up_is_ended_in_the_engine() {
    let link = Arc::new(EngineLink::default());
    let mut connected = link.connected(hello());
    let request = MeasuredRequest::new(&link, SET);
    let id = request.id().to_owned();
    drop(request);
    let told = connected.outgoing.try_recv().unwrap();
    assert_eq!(told, [&(id.len() as u32 + 1).to_le_bytes(), &[66][..], id.as_bytes()].concat());
    let mut ended = MeasuredRequest::new(&link, SET);
    ended.has_ended();
    drop(ended);
    assert!(connected.outgoing.try_recv().is_err());
}

#[test]
fn a_set_is_known_by_what_is_in_it() {
    let one: Arc<[f32]> = Arc::from([1.0, 2.0]);
    let other: Arc<[f32]> = Arc::from([1.0, 2.5]);
    let set = |vectors: &[(u32, &Arc<[f32]>)]| {
        VectorSet::new(2, vectors.iter().map(|(layer, values)| (Layer(*layer), *values)))
    };
    let first = set(&[(1, &one), (2, &one), (1, &one)]);
    assert_eq!(first.slots.len(), 2, "each once");
    assert_eq!(first.slot_of(Layer(2), &[1.0, 2.0]), Some(1));
    assert_eq!(first.slot_of(Layer(3), &[1.0, 2.0]), None);
    assert_eq!(first.number, set(&[(1, &one), (2, &one)]).number);
    for different in [&[(1, &one)][..], &[(2, &one), (1, &one)], &[(1, &one), (2, &other)]] {
        assert_ne!(first.number, set(different).number);
    }
    let message = super::message::vectors(&first);
    assert_eq!(message.len(), 4 + 1 + 8 + 1 + 4 + 2 * (4 + 2 * 4));
    assert_eq!(message[5..13], first.number.to_le_bytes());
}

#[tokio::test]
async fn messages_are_cut_where_they_say() {
    let two = [written(2, b"abc"), written(4, b"")].concat();
    let mut from = two.as_slice();
    assert_eq!(read(&mut from).await.unwrap().unwrap(), Frame { kind: 2, payload: b"abc".into() });
    assert_eq!(read(&mut from).await.unwrap().unwrap(), Frame { kind: 4, payload: Vec::new() });
    assert!(read(&mut from).await.unwrap().is_none(), "an orderly end");
    for cut in 1..two.len() - 5 {
        let result = read(&mut &two[..cut]).await;
        assert!(cut >= 8 || matches!(result, Err(Broken::Io(_))), "{cut}: {result:?}");
    }
    for length in [0, MAX_MESSAGE as u32 + 1, u32::MAX] {
        let result = read(&mut length.to_le_bytes().as_slice()).await;
        assert!(matches!(result, Err(Broken::Malformed(_))), "{length}");
    }
    // What is announced and does not come takes no memory.
    let announced = [&(MAX_MESSAGE as u32).to_le_bytes()[..], &[3, 1, 2]].concat();
    assert!(matches!(read(&mut announced.as_slice()).await, Err(Broken::Io(_))));
}

fn said(kind: u8, payload: impl Into<Vec<u8>>) -> Result<(), Malformed> {
    Message::read(&Frame { kind, payload: payload.into() }).map(drop)
}

#[test]
fn messages_that_make_no_sense_are_refused() {
    let hello = |field: &str, value: serde_json::Value| {
        let mut hello = json!({
            "protocol": 1, "plugin": "1", "vllm": "1", "model": "m", "hidden": 4, "layers": 8,
            "slots": 16,
        });
        hello[field] = value;
        hello.to_string()
    };
    assert!(said(1, hello("model", json!("m"))).is_ok());
    for (field, value) in [
        ("protocol", json!(2)),
        ("hidden", json!(0)),
        ("hidden", json!(1 << 20)),
        ("layers", json!(0)),
        ("layers", json!(-1)),
        ("slots", json!(17)),
        ("vllm", json!("x".repeat(65))),
        ("vllm", json!("0.32\"} 1")),
        ("dtype", json!("a text")),
        ("quantization", json!("x".repeat(65))),
        ("sha256", json!("abc")),
        ("model", json!(null)),
    ] {
        assert!(said(1, hello(field, value.clone())).is_err(), "{field} {value}");
    }
    for bad in ["", "{", "[]", r#"{"set": -1}"#, r#"{"set": "x"}"#, r#"{"set": 1e30}"#] {
        assert!(said(2, bad).is_err(), "{bad}");
    }
    let loaded = Frame { kind: 2, payload: br#"{"set": "18446744073709551615"}"#.to_vec() };
    let expected = Loaded { set: u64::MAX, error: None };
    assert_eq!(Message::read(&loaded), Ok(Message::Loaded(expected)));
    for kind in [0, 5, 65, 66, 255] {
        assert!(said(kind, "{}").is_err(), "{kind}");
    }
    let head = [&SET.to_le_bytes()[..], &[1], &1u16.to_le_bytes()].concat();
    let numbers = |prompt: u32, first: u32, rows: u32| {
        [prompt, first, rows].iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<_>>()
    };
    let part = |id: &[u8], numbers: Vec<u8>, values: &[f32]| {
        [&head[..], &[id.len() as u8], id, &numbers, &bytes(values)].concat()
    };
    assert!(said(3, part(b"a", numbers(3, 2, 1), &[1.0])).is_ok());
    for bad in [
        part(b"", numbers(3, 2, 1), &[1.0]),
        part(&[b'a'; 65], numbers(3, 2, 1), &[1.0]),
        part(&[0xff], numbers(3, 2, 1), &[1.0]),
        part(b"a", numbers(3, 2, 2), &[1.0]),
        part(b"a", numbers(3, 2, 1), &[1.0, 2.0]),
        part(b"a", numbers(3, u32::MAX, 1), &[1.0]),
        part(b"a", numbers(3, 2, u32::MAX), &[1.0]),
        [&SET.to_le_bytes()[..], &[17], &0u16.to_le_bytes()].concat(),
        head.clone(),
    ] {
        assert!(said(3, bad).is_err());
    }
}

proptest! {
    /// Whatever comes, it is read or refused, and a request gets finite work from it.
    #[test]
    fn no_bytes_break_the_reader(
        kind in 0u8..6, payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let frame = Frame { kind, payload };
        let (link, number, request) = measured();
        if let Ok(message) = Message::read(&frame) {
            link.take(number, message);
        }
        prop_assert!(request.take().rows.len() < 300);
    }

    /// Rows that are written come back, wherever the message is cut off it is refused.
    #[test]
    fn rows_are_read_as_they_were_written(
        slots in 1usize..=16, rows in 0usize..5, prompt in 1u32..9, cut in 0usize..400,
    ) {
        let values = vec![1.5_f32; slots * rows];
        let head = [&SET.to_le_bytes()[..], &[slots as u8], &1u16.to_le_bytes(), &[2]];
        let mut payload = head.concat();
        payload.extend(b"ab");
        [prompt, prompt - 1, rows as u32].iter().for_each(|it| payload.extend(it.to_le_bytes()));
        payload.extend(bytes(&values));
        let cut = cut % payload.len();
        let short = Frame { kind: 3, payload: payload[..cut].to_vec() };
        prop_assert!(Message::read(&short).is_err());
        let frame = Frame { kind: 3, payload };
        let part = Part { id: "ab", prompt, first: prompt - 1, values: &bytes(&values) };
        let expected = Rows { set: SET, slots, parts: vec![part] };
        prop_assert_eq!(Message::read(&frame), Ok(Message::Rows(expected)));
    }
}

/// A message with states of two layers of four values.
fn states(head: &serde_json::Value, values: &[f32]) -> Frame {
    let head = head.to_string();
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    Frame { kind: 5, payload: [&length, head.as_bytes(), &bytes(values)].concat() }
}

#[tokio::test]
async fn states_come_to_whoever_waits_for_them() {
    let link = Arc::new(EngineLink::default());
    let number = link.connected(hello()).number;
    let request = StatesRequest::new(&link);
    let tell = |id: &str, of: &str, tokens: usize, first: f32| {
        let head = json!({ "id": id, "of": of, "tokens": tokens, "layers": 2, "hidden": 4 });
        let frame = states(&head, &[first, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        link.take(number, Message::read(&frame).unwrap());
    };
    let soon = Duration::from_millis(20);
    tell("another", "prompt_mean", 3, 1.0);
    tell(request.id(), "prompt_mean", 3, 1.0);
    tell(request.id(), "prompt_last", 1, 2.0);
    assert_eq!(request.told(true, soon).await, Err(NoStates::TimedOut));
    let told = request.told(false, soon).await.unwrap();
    let layers = vec![vec![1.0, 0.0, 0.0, 0.0]; 2];
    assert_eq!(told.prompt_mean, Some(MeanState { tokens: 3, layers }));
    tell(request.id(), "response_mean", 5, 3.0);
    let told = request.told(true, soon).await.unwrap();
    assert_eq!(told.response_mean.map(|mean| (mean.tokens, mean.layers[0][0])), Some((5, 3.0)));
    let lost = StatesRequest::new(&link);
    link.disconnected(number);
    assert_eq!(lost.told(false, soon).await, Err(NoStates::Lost));
    // What was told before stays told.
    assert!(request.told(true, soon).await.is_ok());
}

#[test]
fn states_that_make_no_sense_are_malformed() {
    let right = json!({ "id": "a", "of": "prompt_last", "tokens": 1, "layers": 2, "hidden": 4 });
    assert!(Message::read(&states(&right, &[0.0; 8])).is_ok());
    let wrong = |field: &str, value: serde_json::Value| {
        let mut head = right.clone();
        head[field] = value;
        Message::read(&states(&head, &[0.0; 8])).is_err()
    };
    assert!(wrong("id", json!("")) && wrong("id", json!("a".repeat(65))));
    assert!(wrong("of", json!("response")) && wrong("tokens", json!(0)));
    assert!(wrong("layers", json!(3)) && wrong("layers", json!(0)));
    assert!(wrong("hidden", json!(u64::MAX)) && wrong("hidden", json!(3)));
    assert!(Message::read(&states(&right, &[0.0; 9])).is_err());
    let long = Frame { kind: 5, payload: u32::MAX.to_le_bytes().to_vec() };
    assert!(Message::read(&long).is_err());
}

//! Ways past the guard that were seen: paths, fields, and requests that cannot be scored.

use crate::proxy::{ANSWER, Front, completion, question};
use crate::rig::{policy, with};
use crate::upstream::{Step, head, stream, whole};
use personaguard_terms::{Action, FailurePolicy, UnscorableRequests};
use personaguard_wire::ResolvedPolicy;
use reqwest::Method;
use serde_json::{Value, json};

/// Every answer is past its threshold.
fn blocking(failure_policy: FailurePolicy) -> ResolvedPolicy {
    ResolvedPolicy { failure_policy, ..policy(Action::Block, Some(-1e6)) }
}

async fn ask(front: &Front, method: &Method, path: &str) -> (u16, String) {
    let request = front.rig.http.request(method.clone(), format!("{}{path}", front.rig.url));
    let request = if method == Method::GET { request } else { request.json(&question()) };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap_or_default())
}

/// The answer in the shapes that servers have for one.
fn shapes() -> Vec<Vec<Step>> {
    let json = [
        completion(ANSWER),
        json!({ "choices": [{ "text": ANSWER }] }),
        json!({
            "output": [
                { "type": "message", "content": [{ "type": "output_text", "text": ANSWER }] }
            ]
        }),
        json!({ "content": [{ "type": "text", "text": ANSWER }] }),
        json!({ "generated_text": ANSWER }),
        json!([{ "generated_text": ANSWER }]),
        json!({ "text": [ANSWER] }),
        json!({ "predictions": [ANSWER] }),
        json!({ "outputs": [{ "data": [ANSWER] }] }),
        json!({ "response": ANSWER }),
        json!({ "candidates": [{ "content": { "parts": [{ "text": ANSWER }] } }] }),
        json!({ "data": [{ "id": ANSWER }] }),
        json!({ "status": ANSWER }),
        json!(ANSWER),
    ];
    let text = |kind: &str| vec![head(kind), Step::Send(ANSWER.into())];
    let event =
        format!("event: {ANSWER}\n: {ANSWER}\nid: {ANSWER}\n\ndata: {{\"choices\":[]}}\n\n");
    let failed = "HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
    let error = json!({ "error": { "message": ANSWER } }).to_string();
    let mut shapes: Vec<_> = json.iter().map(whole).collect();
    shapes.extend([
        stream(
            format!("data: {}\n\ndata: [DONE]\n\n", json!({ "response": ANSWER })).as_bytes(),
            9,
        ),
        stream(event.as_bytes(), 1 << 20),
        text("text/plain"),
        text("application/x-ndjson"),
        text("application/octet-stream"),
        vec![Step::Send(failed.into()), Step::Send(error.into())],
        vec![Step::Send(failed.into()), Step::Send(ANSWER.into())],
        vec![Step::Send(
            format!(
                "HTTP/1.1 200 {ANSWER}\r\nX-Answer: {}\r\nContent-Length: 0\r\n\r\n",
                ANSWER.replace('字', "")
            )
            .into_bytes(),
        )],
    ]);
    shapes
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_no_path_and_no_shape_of_an_answer_goes_past_a_block() {
    let front = Front::ready(vec![blocking(FailurePolicy::Closed)]).await;
    let paths = [
        "/",
        "/vertex_generate",
        "/v1/chat/completions/batch",
        "/v2/models/m/infer",
        "/v1/models/x:predict",
        "/bedrock/model/x/converse",
        "/api/extra/generate/stream",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/responses/resp_1",
        "/v1/models",
        "/v1/models/m",
        "/v1/embeddings",
        "/tokenize",
        "/health",
        "/metrics",
        "/version",
    ];
    let mut shown = Vec::new();
    for shape in shapes() {
        front.upstream.play(shape.clone());
        for path in paths {
            for method in [Method::POST, Method::GET, Method::PUT, Method::DELETE] {
                let (status, said) = ask(&front, &method, path).await;
                if ["neighbour", "kindness", "ladder"].iter().any(|word| said.contains(word)) {
                    shown.push(format!("{method} {path}: {status} {said}"));
                }
            }
        }
    }
    assert!(shown.is_empty(), "{}: {shown:#?}", shown.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_what_makes_no_model_write_still_passes() {
    let front = Front::ready(vec![blocking(FailurePolicy::Closed)]).await;
    let models = json!({ "object": "list", "data": [{ "id": "m-1", "object": "model" }] });
    front.upstream.play(whole(&models));
    assert_eq!(ask(&front, &Method::GET, "/v1/models").await, (200, models.to_string()));
    let embeddings = json!({ "object": "list", "data": [{ "index": 0, "embedding": [0.25] }] });
    front.upstream.play(whole(&embeddings));
    assert_eq!(ask(&front, &Method::POST, "/v1/embeddings").await, (200, embeddings.to_string()));
    let metrics = "# TYPE up gauge\nup{model=\"m-1\"} 1\n";
    front.upstream.play(vec![head("text/plain"), Step::Send(metrics.into())]);
    assert_eq!(ask(&front, &Method::GET, "/metrics").await, (200, metrics.to_owned()));
    front.upstream.play(vec![Step::Send(
        b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndown".to_vec(),
    )]);
    assert_eq!(ask(&front, &Method::GET, "/health").await, (503, String::new()));
    assert_eq!(front.rig.sidecar().app().report().totals.responses, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_an_unknown_path_is_counted_where_it_passes() {
    let mut passing = blocking(FailurePolicy::Open);
    passing.unscorable_requests = Some(UnscorableRequests::Pass);
    for policy in [passing, policy(Action::Alert, None)] {
        let front = Front::ready(vec![policy]).await;
        for (count, shape) in [
            whole(&json!({ "generated_text": ANSWER })),
            stream(b"data: {\"text\": \"a\"}\n\n", 9),
            vec![head("text/plain"), Step::Send(ANSWER.into())],
        ]
        .into_iter()
        .enumerate()
        {
            front.upstream.play(shape);
            let (status, said) = ask(&front, &Method::POST, "/vertex_generate").await;
            assert!(status == 200 && !said.is_empty());
            let counted =
                async || front.rig.sidecar().app().report().totals.unguarded == count as u64 + 1;
            front.rig.until("counted", counted).await;
        }
        front.upstream.play(whole(&json!({ "id": "file-1" })));
        ask(&front, &Method::GET, "/v1/files/file-1").await;
        assert_eq!(front.rig.sidecar().app().report().totals.unguarded, 3);
    }
}

/// Requests that no sidecar could score, and a client could choose to send.
fn unscorable() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let image = json!([
        { "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:" } }] }
    ]);
    let with = |fields: Value| with(question(), fields).to_string().into_bytes();
    vec![
        ("an image", with(json!({ "messages": image })), None),
        ("too many choices", with(json!({ "n": 129 })), None),
        ("a number that is none", with(json!({ "n": "many" })), None),
        ("a template of its own", with(json!({ "chat_template": "{{ messages }}" })), None),
        ("other capitals", with(json!({ "MESSAGES": [] })), None),
        ("no JSON", b"{not json".to_vec(), None),
        ("compressed", with(json!({})), Some("gzip")),
        ("over the limit", with(json!({ "x": "x".repeat(5 << 20) })), None),
        (
            "a long prompt",
            with(json!({ "messages": [{ "role": "user", "content": "word ".repeat(5000) }] })),
            None,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_under_open_a_client_cannot_choose_not_to_be_scored() {
    let front = Front::ready(vec![blocking(FailurePolicy::Open)]).await;
    front.upstream.play(whole(&completion(ANSWER)));
    let send = async |body: Vec<u8>, encoding: Option<&'static str>| {
        let mut request =
            front.rig.http.post(format!("{}/v1/chat/completions", front.rig.url)).body(body);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for (what, body, encoding) in unscorable() {
        let (status, said) = send(body, encoding).await;
        assert_eq!(status, 400, "{what}: {said}");
        assert!(said.contains("guard_not_understood"), "{what}: {said}");
    }
    assert!(front.upstream.take_seen().is_empty(), "what is refused never reaches the server");
    // Oddities that servers read are read and scored.
    let plain = question().to_string();
    let field = |field: &str| format!("{},{field}}}", plain.strip_suffix('}').unwrap());
    let nested = format!(r#""unused":{}{}"#, "[".repeat(200), "]".repeat(200));
    for odd in [
        format!("\u{feff}{plain}"),
        field(r#""n":1.0"#),
        field(r#""n":"1""#),
        field(r#""temperature":NaN"#),
        field(r#""unused":"\ud800""#),
        field(&nested),
        field(r#""messages":[{"role":"user","content":"\ud800 later"}]"#),
        field(r#""messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]"#),
        field(&format!(r#""unused":"{}""#, "x".repeat(2 << 20))),
    ] {
        let (status, said) = send(odd.clone().into_bytes(), None).await;
        assert!(
            status == 200 && said.contains("content_filter"),
            "{}: {said}",
            &odd[..200.min(odd.len())]
        );
    }
    assert_eq!(front.rig.sidecar().app().report().totals.unguarded, 0);
    // The server reads what was scored.
    for seen in front.upstream.take_seen() {
        let body = String::from_utf8(seen.body).unwrap();
        assert!(body.starts_with('{') && !body.contains("NaN") && !body.contains("ud800"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_a_policy_may_let_pass_what_cannot_be_scored() {
    let mut passing = blocking(FailurePolicy::Closed);
    passing.unscorable_requests = Some(UnscorableRequests::Pass);
    let front = Front::ready(vec![passing]).await;
    front.upstream.play(whole(&completion(ANSWER)));
    let (_, image, _) = unscorable().remove(0);
    let request =
        front.rig.http.post(format!("{}/v1/chat/completions", front.rig.url)).body(image.clone());
    assert!(request.send().await.unwrap().text().await.unwrap().contains("neighbour"));
    assert_eq!(front.upstream.take_seen()[0].body, image, "as it came");
    assert_eq!(front.rig.sidecar().app().report().totals.unguarded, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_fields_that_nobody_scores_do_not_leave_before_a_verdict_or_beside_a_cut_answer() {
    let front = Front::ready(vec![blocking(FailurePolicy::Closed)]).await;
    let token = json!({
        "content": [{ "token": "neighbour", "logprob": -1, "bytes": null, "top_logprobs": [] }]
    });
    let silent =
        json!({ "choices": [{ "index": 0, "delta": { "content": "" }, "logprobs": token }] });
    let words = json!({ "choices": [{ "index": 0, "delta": { "content": ANSWER } }],
        "answer": ANSWER,
        "token_ids": [1, 2], "choices_text": ANSWER });
    let text = format!(
        ": neighbour\n\nevent: neighbour\nid: neighbour\ndata: {silent}\n\ndata: {words}\n\ndata: \
         [DONE]\n\n"
    );
    for piece in [1, 1 << 20] {
        front.upstream.play(stream(text.as_bytes(), piece));
        let (_, bytes) = front.ask(&with(question(), json!({ "stream": true }))).await;
        let said = String::from_utf8(bytes).unwrap();
        assert!(said.contains("content_filter") && !said.contains("neighbour"), "{said}");
        assert!(!said.contains("token_ids"), "{said}");
    }
}

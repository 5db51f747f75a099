use super::*;
use std::io;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn item_19_a_line_is_an_object_with_severity_time_and_fields() {
    let lines = Lines::default();
    let written = lines.clone();
    let logs = tracing_subscriber::fmt::layer()
        .with_writer(move || written.clone())
        .fmt_fields(JsonFields::new())
        .event_format(JsonLines { in_span: true });
    tracing::subscriber::with_default(tracing_subscriber::registry().with(logs), || {
        let _span = tracing::info_span!("reconcile", key = "a\"b").entered();
        tracing::warn!(count = 2, ratio = 0.5, ok = true, error = %"line\nbreak", "it\tfailed");
        tracing::trace!(target: "elsewhere", "quiet");
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let objects: Vec<Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(objects.len(), 2, "{text}");
    let first = &objects[0];
    assert_eq!((&first["severity"], &first["level"]), (&json!("WARNING"), &json!("WARN")));
    assert_eq!(first["message"], "it\tfailed");
    assert_eq!((&first["count"], &first["ratio"]), (&json!(2), &json!(0.5)));
    assert_eq!((&first["ok"], &first["error"]), (&json!(true), &json!("line\nbreak")));
    assert_eq!(first["span"], json!({ "name": "reconcile", "key": "a\"b" }));
    first["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(objects[1]["severity"], "DEBUG");
    assert_eq!(objects[1]["target"], "elsewhere");
}

use super::*;
use opentelemetry::Key;
use std::io::Read as _;
use std::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn item_19_spans_leave_by_http_and_by_grpc() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (protocol, path, first) in [
        (Protocol::Http, "/in", "POST /in HTTP/1.1\r\n"),
        (Protocol::Grpc, "/", "PRI * HTTP/2.0\r\n"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}{path}", listener.local_addr().unwrap());
        let destination = Destination { endpoint, protocol, gzip: true, certificate: None };
        let exporter = build("test", &destination, &|_| None).unwrap();
        let subscriber = tracing_subscriber::registry().with(exporter.layer(|_| true));
        tracing::subscriber::with_default(subscriber, || {
            drop(tracing::info_span!("chat").entered());
        });
        let received = tokio::task::spawn_blocking(move || {
            let mut bytes = [0; 1024];
            let read = listener.accept().unwrap().0.read(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..read]).into_owned()
        });
        // It tries again, as nothing answers.
        std::thread::spawn(move || exporter.shutdown());
        let received = received.await.unwrap();
        assert!(received.starts_with(first), "{received}");
        if protocol == Protocol::Http {
            assert!(received.to_lowercase().contains("content-encoding: gzip"), "{received}");
        }
    }
}

#[test]
fn item_19_the_environment_may_name_service_and_version() {
    let ours = |name: &str, value: &str| {
        let variable = |asked: &str| (asked == name).then(|| value.to_owned());
        let resource = resource("personaguard", &variable);
        let text = |key: &'static str| {
            resource.get(&Key::from_static_str(key)).map(|value| value.to_string())
        };
        (text("service.name").as_deref() == Some("personaguard"), text("service.version").is_some())
    };
    assert_eq!(ours("OTHER", ""), (true, true));
    assert_eq!(ours("OTEL_SERVICE_NAME", " "), (true, true));
    // What they name is read by the SDK, from the environment itself.
    assert_eq!(ours("OTEL_SERVICE_NAME", "chat"), (false, true));
    assert_eq!(ours("OTEL_RESOURCE_ATTRIBUTES", "a=service.name"), (true, true));
    assert_eq!(ours("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=c"), (false, true));
    assert_eq!(ours("OTEL_RESOURCE_ATTRIBUTES", "service.version=2"), (true, false));
}

use super::*;

fn read(variables: &[(&str, &str)]) -> Plan {
    let variable = |name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Plan::read(None, &variable)
}

const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");

#[test]
fn item_19_spans_go_where_opentelemetrys_variables_say() {
    let traces = |url| ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url);
    let general = |url| ("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    let protocol = |name| ("OTEL_EXPORTER_OTLP_PROTOCOL", name);
    for (variables, endpoint, by) in [
        (vec![BASE], "http://c:4318/v1/traces", Protocol::Http),
        (vec![general("http://c:4318/")], "http://c:4318/v1/traces", Protocol::Http),
        (vec![general("https://c/otlp")], "https://c/otlp/v1/traces", Protocol::Http),
        (vec![general("http://c:4318/v1/traces")], "http://c:4318/v1/traces", Protocol::Http),
        (vec![general("http://[fd00::1]:4318")], "http://[fd00::1]:4318/v1/traces", Protocol::Http),
        (vec![traces("http://t:4318/in")], "http://t:4318/in", Protocol::Http),
        (vec![BASE, traces("http://t:4318/v1/traces")], "http://t:4318/v1/traces", Protocol::Http),
        (vec![general(" "), traces(" http://t/x ")], "http://t/x", Protocol::Http),
        (vec![general("http://c:4317")], "http://c:4317/", Protocol::Grpc),
        (vec![general("https://c:443"), protocol("grpc")], "https://c/", Protocol::Grpc),
        (vec![general("c:4317"), protocol("grpc")], "https://c:4317/", Protocol::Grpc),
        (
            vec![general("c:4317"), protocol("grpc"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")],
            "http://c:4317/",
            Protocol::Grpc,
        ),
        (
            vec![BASE, protocol("grpc"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")],
            "http://c:4318/v1/traces",
            Protocol::Http,
        ),
    ] {
        let plan = read(&variables);
        assert_eq!(plan.warnings, [""; 0], "{variables:?}");
        let destination = plan.destination.unwrap();
        assert_eq!((destination.endpoint.as_str(), destination.protocol), (endpoint, by));
    }
    let flag = Plan::read(Some("http://f:4318"), &|name| {
        name.ends_with("_ENDPOINT").then(|| "http://other".to_owned())
    });
    assert_eq!(flag.destination.unwrap().endpoint, "http://f:4318/v1/traces");
}

#[test]
fn item_19_traces_that_are_switched_off_are_off_in_silence() {
    for off in [
        vec![],
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
        vec![BASE, ("OTEL_SDK_DISABLED", "TRUE")],
        vec![BASE, ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        assert_eq!(read(&off), Plan { destination: None, warnings: vec![] }, "{off:?}");
    }
    assert!(read(&[BASE, ("OTEL_SDK_DISABLED", "false")]).destination.is_some());
    assert!(read(&[BASE, ("OTEL_TRACES_EXPORTER", "otlp")]).destination.is_some());
}

#[test]
fn item_19_what_cannot_be_followed_is_told() {
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    for (variables, sends, told) in [
        (vec![(endpoint, "127.0.0.1:4318")], false, "does not begin with http"),
        (vec![(endpoint, "collector:4318")], false, "does not begin with http"),
        (vec![(endpoint, "grpc://collector:4317")], false, "begins with grpc://"),
        (vec![(endpoint, "http://")], false, "is no URL"),
        (vec![(endpoint, "http://c:99999")], false, "is no URL"),
        (vec![BASE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], true, "`http/json`"),
        (vec![BASE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], true, "port 4318 by grpc"),
        (
            vec![(endpoint, "http://c:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
            true,
            "port 4317 by http/protobuf",
        ),
        (vec![BASE, ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")], true, "uncompressed"),
        (vec![BASE, ("OTEL_TRACES_EXPORTER", "zipkin")], false, "zipkin"),
        (vec![BASE, ("OTEL_TRACES_EXPORTER", "otlp,console")], true, "console"),
        (vec![BASE, ("OTEL_TRACES_SAMPLER", "jaeger_remote")], true, "`jaeger_remote`"),
        (vec![BASE, ("OTEL_TRACES_SAMPLER", "traceidratio")], true, "it is not set"),
        (
            vec![BASE, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "10%")],
            true,
            "10%",
        ),
        (vec![BASE, ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,Bearer x")], true, "item 2"),
    ] {
        let plan = read(&variables);
        assert_eq!(plan.destination.is_some(), sends, "{variables:?}");
        assert_eq!(plan.warnings.len(), 1, "{plan:?}");
        assert!(plan.warnings[0].contains(told), "{plan:?}");
    }
    let secret = read(&[(endpoint, "user:hunter2@collector:4318")]);
    assert!(!secret.warnings[0].contains("hunter2"), "{secret:?}");
}

#[test]
fn item_19_compression_and_an_own_authority_are_taken() {
    let plan = read(&[
        BASE,
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
    ]);
    let destination = plan.destination.unwrap();
    assert!(destination.gzip);
    assert_eq!(destination.certificate, Some(PathBuf::from("/ca.pem")));
    let none = read(&[
        BASE,
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
    ]);
    assert!(!none.destination.unwrap().gzip);
}

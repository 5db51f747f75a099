//! What the charts render, without a cluster: an unprivileged operator with few rights, unusual
//! values, errors that say what is wrong, alerts with runbooks, and a dashboard of existing
//! metrics.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output =
        Command::new(program).args(arguments).current_dir(repository("")).output().unwrap_or_else(
            |error| panic!("{program} cannot be run: {error}; `cargo xtask test` installs it"),
        );
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    }
}

/// Renders the chart for Kubernetes 1.36.
fn template(arguments: &[&str]) -> Result<String, String> {
    let mut all = vec![
        "template",
        "pg",
        "charts/personaguard",
        "--namespace",
        "pg-system",
        "--kube-version",
        "1.36.3",
    ];
    all.extend_from_slice(arguments);
    run("helm", &all)
}

/// The rendered objects, by `Kind/name`.
fn objects(rendered: &str) -> Vec<(String, Value)> {
    let parsed: Vec<Value> = serde_saphyr::from_multiple(rendered).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    parsed
        .into_iter()
        .filter(|object| !object.is_null())
        .map(|object| {
            (format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"])), object)
        })
        .collect()
}

fn find<'a>(objects: &'a [(String, Value)], name: &str) -> &'a Value {
    let found = objects.iter().find(|(key, _)| key == name);
    &found
        .unwrap_or_else(|| {
            panic!("no {name} among {:?}", objects.iter().map(|(key, _)| key).collect::<Vec<_>>())
        })
        .1
}

#[test]
fn the_defaults_meet_the_restricted_pod_security_standard() {
    let objects = objects(&template(&[]).unwrap());
    let pod = &find(&objects, "Deployment/personaguard-operator")["spec"]["template"]["spec"];
    let uninstall = &find(&objects, "Job/personaguard-uninstall")["spec"]["template"]["spec"];
    for spec in [pod, &find(&objects, "Pod/pg-check")["spec"], uninstall] {
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &spec["containers"][0]["securityContext"];
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["capabilities"]["drop"][0], "ALL");
    }
    let policy = find(&objects, "MutatingAdmissionPolicy/personaguard");
    let excluded = &policy["spec"]["matchConstraints"]["namespaceSelector"];
    assert!(
        excluded.to_string().contains("\"pg-system\""),
        "the release's own namespace is excluded: {excluded}"
    );
    find(&objects, "ConfigMap/personaguard-rules");
    find(&objects, "ConfigMap/personaguard-dashboard");
}

#[test]
fn no_role_of_the_operator_has_a_wildcard_or_reads_secrets_of_others() {
    let objects = objects(&template(&[]).unwrap());
    for (name, object) in objects.iter().filter(|(name, _)| name.contains("Role/")) {
        for rule in object["rules"].as_array().unwrap() {
            assert!(!rule.to_string().contains("\"*\""), "{name}: {rule}");
            if rule["resources"].to_string().contains("secrets") {
                assert!(name.starts_with("Role/"), "{name}: {rule}");
                assert!(
                    rule["verbs"] == serde_json::json!(["create"])
                        || rule["resourceNames"].is_array(),
                    "{name}: {rule}"
                );
            }
        }
    }
}

#[test]
fn item_21_an_uninstallation_runs_a_hook_that_has_all_it_needs() {
    let objects = objects(&template(&[]).unwrap());
    let hooks: Vec<_> = objects
        .iter()
        .filter(|(_, it)| it["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete")
        .collect();
    assert_eq!(hooks.len(), 6, "{:?}", hooks.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let job = find(&objects, "Job/personaguard-uninstall");
    let pod = &job["spec"]["template"];
    assert_eq!(pod["spec"]["containers"][0]["args"], serde_json::json!(["uninstall"]));
    let weight = |object: &Value| {
        let weight = object["metadata"]["annotations"]["helm.sh/hook-weight"].as_str().unwrap();
        weight.parse::<i32>().unwrap()
    };
    let rights = find(&objects, "ServiceAccount/personaguard-uninstall");
    assert!(weight(rights) < weight(job), "rights come before the Job");
    // It is no operator: neither the Service nor the Deployment may take it for one.
    let selector =
        &find(&objects, "Deployment/personaguard-operator")["spec"]["selector"]["matchLabels"];
    let name = "app.kubernetes.io/name";
    assert_ne!(pod["metadata"]["labels"][name], selector[name]);
}

#[test]
fn unusual_values_render() {
    let monitoring = objects(
        &template(&[
            "--api-versions",
            "monitoring.coreos.com/v1/PodMonitor",
            "--api-versions",
            "monitoring.coreos.com/v1/PrometheusRule",
        ])
        .unwrap(),
    );
    find(&monitoring, "PodMonitor/personaguard-sidecars");
    find(&monitoring, "PrometheusRule/personaguard");
    assert!(
        !monitoring.iter().any(|(name, _)| name == "ConfigMap/personaguard-rules"),
        "the rules are rendered once"
    );

    let digest = format!("sha256:{}", "a".repeat(64));
    let rendered = template(&[
        "--set",
        "replicas=3",
        "--set",
        &format!("image.digest={digest}"),
        "--set",
        "sidecar.image.repository=registry.example:5000/team/personaguard",
        "--set",
        "sidecar.image.tag=1.2",
        "--set",
        "alertmanagerUrl=https://alerts.example/prefix",
        "--set",
        "alertWebhook.url=http://hooks.example:8099/personaguard,alertWebhook.secretName=hook",
        "--set",
        "otlpEndpoint=http://collector.tracing.svc:4318",
        "--set",
        "admission.failurePolicy=Fail",
        "--set",
        "admission.podOptOut=false",
        "--set",
        "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus",
        "--set",
        "networkPolicy.extraEgress[0].ports[0].port=9999",
        "--set",
        "imagePullSecrets[0].name=pull",
        "--set",
        "podLabels.team=a",
        "--set",
        "monitoring.rules.create=PrometheusRule",
        "--set",
        "monitoring.rules.runbookUrl=https://wiki.example/runbooks",
    ])
    .unwrap();
    let objects = objects(&rendered);
    let pod = &find(&objects, "Deployment/personaguard-operator")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], format!("localhost/personaguard-operator@{digest}"));
    assert!(
        pod["containers"][0]["args"]
            .to_string()
            .contains("registry.example:5000/team/personaguard:1.2")
    );
    let egress =
        find(&objects, "NetworkPolicy/personaguard-operator")["spec"]["egress"].to_string();
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "hook", "{pod}");
    for port in ["443", "4318", "8099", "9999"] {
        assert!(egress.contains(&format!("\"port\":{port}")), "{port} in {egress}");
    }
    let policy = &find(&objects, "MutatingAdmissionPolicy/personaguard")["spec"];
    assert_eq!(policy["failurePolicy"], "Fail");
    assert!(
        !policy.to_string().contains("personaguard.dev/inject\""),
        "pods cannot opt out: {policy}"
    );
    let rules = find(&objects, "PrometheusRule/personaguard").to_string();
    assert!(rules.contains("https://wiki.example/runbooks#personaguardtraitbreached"));

    let quiet = template(&[
        "--set",
        "monitoring.rules.create=Never,monitoring.dashboard.create=false",
        "--set",
        "networkPolicy.create=false,resources=null",
    ])
    .unwrap();
    assert!(!quiet.contains("kind: ConfigMap") && !quiet.contains("kind: NetworkPolicy"));
}

/// The ports that the operator is let out to, beside those of DNS, the API server and sidecars.
fn other_ports(values: &str) -> Vec<u64> {
    let objects = objects(&template(&["--set", values]).unwrap());
    let egress = &find(&objects, "NetworkPolicy/personaguard-operator")["spec"]["egress"];
    let others = egress.as_array().unwrap().iter().skip(3);
    others.map(|rule| rule["ports"][0]["port"].as_u64().unwrap()).collect()
}

#[test]
fn item_19_the_operator_is_let_out_to_the_port_of_each_url() {
    for (url, port) in [
        ("http://alertmanager.monitoring.svc:9093", 9093),
        ("http://alertmanager.monitoring.svc:9093/api/v2/alerts", 9093),
        ("https://alertmanager.example/alertmanager", 443),
        ("https://am.example:8443/", 8443),
        ("http://10.0.0.5", 80),
        ("http://am.mon1", 80),
        ("http://alertmanager-1", 80),
        ("http://user:1@am", 80),
        ("https://user:p%40ss@am.example", 443),
        ("http://[fd00::9]:9093", 9093),
        ("http://[fd00::9]", 80),
    ] {
        assert_eq!(other_ports(&format!("alertmanagerUrl={url}")), [port], "{url}");
    }
    let traces = "otel.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318/v1/traces";
    assert_eq!(other_ports(traces), [4318]);
}

#[test]
fn item_19_ports_of_the_api_server_and_of_dns_are_values_that_the_notes_name() {
    let egress = |values: &str| {
        let objects = objects(&template(&["--set", values]).unwrap());
        find(&objects, "NetworkPolicy/personaguard-operator")["spec"]["egress"].clone()
    };
    let ports = |rule: &Value| {
        let ports = rule["ports"].as_array().unwrap().iter();
        ports.map(|port| port["port"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let usual = egress("replicas=1");
    assert_eq!(ports(&usual[0]), [53, 53, 5353, 5353]);
    assert_eq!(ports(&usual[1]), [443, 6443, 8443, 16443]);
    let own = egress("networkPolicy.apiServerPorts={7443},networkPolicy.dnsPorts={54}");
    assert_eq!((ports(&own[0]), ports(&own[1])), (vec![54, 54], vec![7443]));
    let notes = repository("charts/personaguard/templates/NOTES.txt");
    let notes = std::fs::read_to_string(notes).unwrap();
    assert!(notes.contains("networkPolicy.apiServerPorts") && notes.contains("extraEgress"));
}

#[test]
fn item_19_ids_are_left_to_a_platform_that_assigns_them() {
    let rendered = template(&["--set", "runAsUser=null"]).unwrap();
    let without_admission = rendered.lines().filter(|line| !line.contains("JSONPatch"));
    for line in without_admission {
        assert!(!["runAsUser:", "runAsGroup:", "fsGroup:"].iter().any(|it| line.contains(it)));
    }
    let arguments = |rendered: &str| {
        let objects = objects(rendered);
        let deployment = find(&objects, "Deployment/personaguard-operator");
        deployment["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
    };
    assert!(arguments(&rendered).contains("--run-as-user=platform"));
    let large = template(&["--set", "runAsUser=1000680000"]).unwrap();
    assert!(arguments(&large).contains("--run-as-user=1000680000"), "{large}");
    assert!(large.contains("fsGroup: 1000680000\n"));
}

#[test]
fn item_19_secrets_are_where_they_are_used_and_variables_reach_both_programs() {
    let rendered = template(&[
        "--set",
        "alertmanagerUrl=https://am/x,alertmanagerSecretName=am",
        "--set",
        "sidecar.imagePullSecrets[0].name=registry",
        "--set",
        "otlpEndpoint=http://c:4317,otel.OTEL_TRACES_SAMPLER=always_off",
        "--set",
        "alertLabels.cluster=east,monitoring.rules.clusterLabel=k8s_cluster",
    ])
    .unwrap();
    let objects = objects(&rendered);
    let pod = &find(&objects, "Deployment/personaguard-operator")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "am");
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/etc/personaguard/alertmanager");
    assert_eq!(pod["imagePullSecrets"], Value::Null, "they are the sidecar's");
    let arguments = container["args"].to_string();
    for argument in [
        "--alertmanager-secrets=/etc/personaguard/alertmanager",
        "--sidecar-image-pull-secret=registry",
        "--sidecar-otel=OTEL_TRACES_SAMPLER=always_off",
        "--alert-label=cluster=east",
    ] {
        assert!(arguments.contains(argument), "{argument}: {arguments}");
    }
    assert!(container["env"].to_string().contains("OTEL_TRACES_SAMPLER"));
    let mutation = find(&objects, "MutatingAdmissionPolicy/personaguard").to_string();
    assert!(mutation.contains("/spec/imagePullSecrets"), "{mutation}");
    let rules = find(&objects, "ConfigMap/personaguard-rules").to_string();
    assert!(rules.contains("by (k8s_cluster, namespace") && rules.contains("$labels.k8s_cluster"));
    assert!(!rules.contains("by (cluster") && !rules.contains("$labels.cluster"));
}

#[test]
fn invalid_values_are_refused_by_name() {
    for (value, named) in [
        ("replicas=many", "replicas"),
        ("image.repo=x", "repo"),
        ("alertmanagerUrl=alertmanager:9093", "alertmanagerUrl"),
        ("alertWebhook.url=https://hooks.example", "secretName"),
        ("admission.failurePolicy=Open", "failurePolicy"),
        ("podLabels.app\\.kubernetes\\.io/name=mine", "podLabels"),
        ("sidecar.image.tag=a b", "tag"),
        ("monitoring.rules.create=Yes", "create"),
        ("monitoring.rules.clusterLabel=k8s-cluster", "clusterLabel"),
        ("runAsUser=0", "runAsUser"),
        ("networkPolicy.apiServerPorts={0}", "apiServerPorts"),
        ("otel.RUST_LOG=debug", "RUST_LOG"),
        ("otel.OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("sidecar.imagePullSecrets={registry}", "imagePullSecrets"),
    ] {
        let refusal = template(&["--set", value]).unwrap_err();
        assert!(refusal.contains(named), "{value}: {refusal}");
    }
    assert!(run("helm", &["template", "charts/personaguard-crds", "--set", "keep=false"]).is_err());
}

#[test]
fn an_api_server_that_is_too_old_is_refused_with_a_clear_message() {
    let refusal =
        run("helm", &["template", "charts/personaguard", "--kube-version", "1.35.4"]).unwrap_err();
    assert!(
        refusal.contains("needs Kubernetes 1.36 or newer, and this API server is v1.35.4"),
        "{refusal}"
    );
    run("helm", &["template", "charts/personaguard", "--kube-version", "1.37.0-alpha.1"]).unwrap();
    // With a live API server, Helm knows its kinds.
    let refusal = template(&["--api-versions", "v1/Pod"]).unwrap_err();
    assert!(refusal.contains("does not serve MutatingAdmissionPolicy"), "{refusal}");
    let live = [
        "--api-versions",
        "v1/Pod",
        "--api-versions",
        "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
    ];
    let refusal = template(&live).unwrap_err();
    assert!(refusal.contains("Install their chart first"), "{refusal}");
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let rules: Value = serde_saphyr::from_str(
        &std::fs::read_to_string(repository("charts/personaguard/files/rules.yaml")).unwrap(),
    )
    .unwrap();
    let rules = rules["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let mut alerts: Vec<String> = rules
        .map(|rule| {
            let name = rule["alert"].as_str().unwrap().to_owned();
            assert_eq!(
                rule["annotations"]["runbook_url"],
                format!("https://personaguard.dev/docs/runbooks.html#{}", name.to_lowercase()),
                "{name}"
            );
            name
        })
        .collect();
    let runbooks = std::fs::read_to_string(repository("docs/runbooks.md")).unwrap();
    let mut headings: Vec<String> = runbooks
        .lines()
        .filter_map(|line| line.strip_prefix("## PersonaGuard"))
        .map(|rest| format!("PersonaGuard{rest}"))
        .collect();
    alerts.sort();
    headings.sort();
    assert_eq!(alerts, headings);
}

#[test]
fn the_dashboard_uses_existing_metrics() {
    let text =
        std::fs::read_to_string(repository("charts/personaguard/files/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10, "{} panels", panels.len());
    let constants = std::fs::read_to_string(repository("crds/terms/src/metrics.rs")).unwrap();
    let known: Vec<&str> =
        constants.split('"').filter(|name| name.starts_with("personaguard_")).collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in text.split(|c| !is_name(c)).filter(|word| word.starts_with("personaguard_")) {
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| word.strip_suffix(suffix))
            .unwrap_or(word);
        assert!(
            known.contains(&name) || known.contains(&word),
            "{word} is not a metric of crds/terms/src/metrics.rs"
        );
    }
}

//! The config files of the cluster's programs, made from the folder and the addresses. Pure.

use crate::network::Addresses;
use crate::paths::{Cache, Layout};
use serde_json::{Value, json};

const POD_RANGE: &str = "10.244.0.0/24";
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The content of each file, by its path below the cluster's folder.
pub(crate) fn files(
    cache: &Cache,
    layout: &Layout,
    addresses: Addresses,
) -> Vec<(&'static str, String)> {
    vec![
        ("config/audit.yaml", text(&audit())),
        ("config/kubelet.yaml", text(&kubelet(layout, addresses))),
        ("config/proxy.yaml", text(&proxy(layout))),
        ("config/cni/10-bridge.conflist", text(&cni(layout))),
        ("config/containerd.toml", containerd(cache, layout)),
        ("config/Corefile", corefile(layout, addresses)),
        ("config/rbac.yaml", text(&rbac())),
        ("config/resolv.conf", String::new()),
    ]
}

/// The file's text: JSON is YAML.
fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Records every write, without its content.
fn audit() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {
                "level": "Metadata",
                "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            },
            {"level": "None"},
        ],
    })
}

fn kubelet(layout: &Layout, addresses: Addresses) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": layout.join_str("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": layout.join_str("pki/kubelet-server.crt"),
        "tlsPrivateKeyFile": layout.join_str("pki/kubelet-server.key"),
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "podLogsDir": layout.join_str("pod-logs"),
        "clusterDNS": [addresses.node.to_string()],
        "clusterDomain": "cluster.local",
        "resolvConf": layout.join_str("config/resolv.conf"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", layout.node()),
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "serializeImagePulls": false,
        // Images come from archives, not from a registry: one that is garbage-collected could not
        // be pulled again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "0%", "nodefs.inodesFree": "0%",
            "imagefs.available": "0%", "imagefs.inodesFree": "0%",
        },
        "eventRecordQPS": 50,
        "shutdownGracePeriod": "0s",
    })
}

fn proxy(layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": layout.join_str("pki/proxy.kubeconfig")},
        "hostnameOverride": layout.node(),
        "mode": "iptables",
        "clusterCIDR": POD_RANGE,
        // Pods share one bridge: this way replies are translated back with or without br_netfilter.
        "iptables": {"masqueradeAll": true},
        // The limits of connection tracking are the whole machine's; leave them alone.
        "conntrack": {
            "maxPerCore": 0, "min": 0,
            "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        },
        "metricsBindAddress": "127.0.0.1:10249",
    })
}

fn cni(layout: &Layout) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "pods0",
                "isGateway": true, "ipMasq": true, "hairpinMode": true,
                "ipam": {
                    "type": "host-local", "dataDir": layout.join_str("ipam"),
                    "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn containerd(cache: &Cache, layout: &Layout) -> String {
    let [root, state, socket, cni, shim] = [
        layout.join_str("containerd"),
        "/run/containerd".to_owned(),
        layout.join_str("containerd.sock"),
        layout.join_str("config/cni"),
        cache.bin().join("containerd-shim-runc-v2").to_string_lossy().into_owned(),
    ];
    format!(
        r#"version = 3
root = "{root}"
state = "{state}"
disabled_plugins = [
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.erofs",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
    "io.containerd.nri.v1.nri",
]

[grpc]
address = "{socket}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
# A profile would be loaded into the machine's kernel, and stay there.
disable_apparmor = true
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{cni}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = "{shim}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
        pause = crate::image::PAUSE
    )
}

fn corefile(layout: &Layout, addresses: Addresses) -> String {
    format!(
        r"cluster.local in-addr.arpa:53 {{
    bind {node}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
    health 127.0.0.1:8080
}}
. {{
    bind {node}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
",
        node = addresses.node,
        kubeconfig = layout.join_str("pki/coredns.kubeconfig"),
    )
}

/// What CoreDNS and Prometheus may read.
fn rbac() -> Value {
    let role = |name: &str, rules: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name}, "rules": rules,
        })
    };
    let binding = |name: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name,
            },
            "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name},
            ],
        })
    };
    let core = ["services", "endpoints", "pods", "namespaces"];
    json!({"apiVersion": "v1", "kind": "List", "items": [
        role("personaguard:coredns", json!([
            {"apiGroups": [""], "resources": core, "verbs": ["list", "watch"]},
            {
                "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"],
                "verbs": ["list", "watch"],
            },
        ])),
        binding("personaguard:coredns"),
        role("personaguard:prometheus", json!([
            {"apiGroups": [""], "resources": core, "verbs": ["get", "list", "watch"]},
        ])),
        binding("personaguard:prometheus"),
    ]})
}

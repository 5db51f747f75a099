//! The config files of the cluster's programs. Pure.

use crate::network::Addresses;
use crate::paths::{Cache, Layout};
use serde_json::{Value, json};

const POD_RANGE: &str = "10.244.0.0/24";
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// Paths below the cluster's folder, with their contents.
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

/// JSON is YAML.
fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Every write is logged, without its content.
fn audit() -> Value {
    let verbs = ["create", "update", "patch", "delete", "deletecollection"];
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "verbs": verbs},
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
            "x509": {"clientCAFile": layout.text("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": layout.text("pki/kubelet-server.crt"),
        "tlsPrivateKeyFile": layout.text("pki/kubelet-server.key"),
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "podLogsDir": layout.text("pod-logs"),
        "clusterDNS": [addresses.node.to_string()],
        "clusterDomain": "cluster.local",
        "resolvConf": layout.text("config/resolv.conf"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", layout.node()),
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "serializeImagePulls": false,
        // Images come from archives, so a deleted one could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "0%", "nodefs.inodesFree": "0%",
            "imagefs.available": "0%", "imagefs.inodesFree": "0%"
        },
        "eventRecordQPS": 50,
        "shutdownGracePeriod": "0s",
    })
}

fn proxy(layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": layout.text("pki/proxy.kubeconfig")},
        "hostnameOverride": layout.node(),
        "mode": "iptables",
        "clusterCIDR": POD_RANGE,
        // Pods share one bridge. With masquerading, answers return through the address translation
        // even without br_netfilter.
        "iptables": {"masqueradeAll": true},
        // Keep the machine's connection tracking limits.
        "conntrack": {
            "maxPerCore": 0, "min": 0,
            "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"
        },
        "metricsBindAddress": "127.0.0.1:10249",
    })
}

fn cni(layout: &Layout) -> Value {
    let ipam = json!({
        "type": "host-local", "dataDir": layout.text("ipam"),
        "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]
    });
    json!({
        "cniVersion": "1.0.0", "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": true,
                "hairpinMode": true, "ipam": ipam
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn containerd(cache: &Cache, layout: &Layout) -> String {
    let [root, state, socket, cni, shim] = [
        layout.text("containerd"),
        "/run/containerd".to_owned(),
        layout.text("containerd.sock"),
        layout.text("config/cni"),
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
        kubeconfig = layout.text("pki/coredns.kubeconfig"),
    )
}

/// What CoreDNS and Prometheus may read.
fn rbac() -> Value {
    let core = ["services", "endpoints", "pods", "namespaces"];
    let coredns = json!([
        {"apiGroups": [""], "resources": core, "verbs": ["list", "watch"]},
        {
            "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"],
            "verbs": ["list", "watch"]
        },
    ]);
    let prometheus =
        json!([{"apiGroups": [""], "resources": core, "verbs": ["get", "list", "watch"]}]);
    json!({"apiVersion": "v1", "kind": "List", "items": [
        cluster_role("personaguard:coredns", &coredns),
        cluster_role_binding("personaguard:coredns"),
        cluster_role("personaguard:prometheus", &prometheus),
        cluster_role_binding("personaguard:prometheus"),
    ]})
}

fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name}, "rules": rules
    })
}

/// For the user with the role's name.
fn cluster_role_binding(name: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": name}],
    })
}

//! The command lines of the cluster's processes, in the order in which they start. Pure.

use crate::network::Addresses;
use crate::paths::Layout;

/// A process.
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<String>,
}

/// etcd and the API server, which everything else waits for.
pub(crate) fn api(layout: &Layout, addresses: Addresses) -> Vec<Component> {
    let node = addresses.node;
    let pki = |file: &str| layout.join_str(&format!("pki/{file}"));
    vec![
        component(
            "etcd",
            "etcd",
            [
                format!("--data-dir={}", layout.join_str("etcd")),
                // Nothing here has to survive a power cut.
                "--unsafe-no-fsync".into(),
                "--listen-client-urls=http://127.0.0.1:2379".into(),
                "--advertise-client-urls=http://127.0.0.1:2379".into(),
                "--listen-peer-urls=http://127.0.0.1:2380".into(),
                "--log-level=warn".into(),
            ],
        ),
        component(
            "apiserver",
            "kube-apiserver",
            [
                "--etcd-servers=http://127.0.0.1:2379".into(),
                format!("--advertise-address={node}"),
                "--bind-address=0.0.0.0".into(),
                "--secure-port=6443".into(),
                "--service-cluster-ip-range=10.96.0.0/16".into(),
                "--authorization-mode=Node,RBAC".into(),
                "--enable-admission-plugins=NodeRestriction".into(),
                format!("--client-ca-file={}", pki("ca.crt")),
                format!("--tls-cert-file={}", pki("apiserver.crt")),
                format!("--tls-private-key-file={}", pki("apiserver.key")),
                format!("--kubelet-certificate-authority={}", pki("ca.crt")),
                format!("--kubelet-client-certificate={}", pki("apiserver-kubelet.crt")),
                format!("--kubelet-client-key={}", pki("apiserver-kubelet.key")),
                "--kubelet-preferred-address-types=InternalIP".into(),
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
                format!("--service-account-key-file={}", pki("service-account.pub")),
                format!("--service-account-signing-key-file={}", pki("service-account.key")),
                format!("--audit-policy-file={}", layout.join_str("config/audit.yaml")),
                format!("--audit-log-path={}", layout.audit_log().display()),
            ],
        ),
    ]
}

/// The controllers and everything on the node; containerd comes first.
pub(crate) fn rest(layout: &Layout, addresses: Addresses) -> Vec<Component> {
    let pki = |file: &str| layout.join_str(&format!("pki/{file}"));
    vec![
        component(
            "containerd",
            "containerd",
            ["--config".into(), layout.join_str("config/containerd.toml")],
        ),
        component(
            "controller-manager",
            "kube-controller-manager",
            [
                format!("--kubeconfig={}", pki("controller-manager.kubeconfig")),
                format!("--authentication-kubeconfig={}", pki("controller-manager.kubeconfig")),
                format!("--authorization-kubeconfig={}", pki("controller-manager.kubeconfig")),
                format!("--service-account-private-key-file={}", pki("service-account.key")),
                format!("--root-ca-file={}", pki("ca.crt")),
                format!("--cluster-signing-cert-file={}", pki("ca.crt")),
                format!("--cluster-signing-key-file={}", pki("ca.key")),
                "--use-service-account-credentials".into(),
                "--leader-elect=false".into(),
                // The node shares its cores with builds: a late heartbeat must not evict its pods.
                "--node-monitor-grace-period=5m".into(),
                "--bind-address=127.0.0.1".into(),
            ],
        ),
        component(
            "scheduler",
            "kube-scheduler",
            [
                format!("--kubeconfig={}", pki("scheduler.kubeconfig")),
                format!("--authentication-kubeconfig={}", pki("scheduler.kubeconfig")),
                format!("--authorization-kubeconfig={}", pki("scheduler.kubeconfig")),
                "--leader-elect=false".into(),
                "--bind-address=127.0.0.1".into(),
            ],
        ),
        component(
            "kubelet",
            "kubelet",
            [
                format!("--config={}", layout.join_str("config/kubelet.yaml")),
                format!("--kubeconfig={}", pki("kubelet.kubeconfig")),
                format!("--root-dir={}", layout.join_str("kubelet")),
                format!("--hostname-override={}", layout.node()),
                format!("--node-ip={}", addresses.node),
            ],
        ),
        component(
            "proxy",
            "kube-proxy",
            [format!("--config={}", layout.join_str("config/proxy.yaml"))],
        ),
        component("coredns", "coredns", ["-conf".into(), layout.join_str("config/Corefile")]),
    ]
}

fn component<const N: usize>(
    name: &'static str,
    program: &str,
    arguments: [String; N],
) -> Component {
    Component { name, arguments: [program.to_owned()].into_iter().chain(arguments).collect() }
}

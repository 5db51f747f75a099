use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn keys_and_kubeconfigs_are_for_their_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let layout = Layout { name: "t".into(), folder: folder.path().into() };
    write(&layout, Addresses::free("t").expect("a network")).expect("written");
    let mut seen = 0;
    for entry in fs::read_dir(layout.join("pki")).expect("pki").flatten() {
        assert_eq!(
            entry.metadata().expect("metadata").permissions().mode() & 0o777,
            0o600,
            "{entry:?}"
        );
        seen += 1;
    }
    assert!(seen > 20, "{seen} files");
    assert_eq!(
        fs::metadata(layout.kubeconfig()).expect("kubeconfig").permissions().mode() & 0o777,
        0o600
    );
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(layout.kubeconfig()).expect("read")).expect("JSON");
    assert_eq!(config["current-context"], "pg-t");
}

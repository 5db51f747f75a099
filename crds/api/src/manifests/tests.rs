use super::*;
use std::path::Path;

#[test]
fn generated_yaml_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, expected) in manifests() {
        for folder in ["../yaml", "../../charts/personaguard-crds/templates"] {
            let path = root.join(folder).join(&name);
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == expected,
                "{} is out of date: run `cargo xtask crdgen`",
                path.display()
            );
        }
    }
}

#[test]
fn the_api_server_knows_every_format_and_helm_finds_nothing_to_fill_in() {
    for (name, yaml) in manifests() {
        assert!(!yaml.contains("uint"), "{name}");
        assert!(!yaml.contains("nullable"), "{name}");
        assert!(!yaml.contains("{{"), "{name}");
    }
}

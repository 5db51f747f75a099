use super::*;

#[test]
fn item_19_a_format_is_known_by_how_the_file_begins_or_else_by_its_name() {
    let of = |name: &str, bytes: &[u8]| Format::of(Path::new(name), bytes);
    assert_eq!(of("a.bin", b"GGUF").unwrap(), Format::Gguf);
    assert_eq!(of("a.bin", b"PK\x03\x04").unwrap(), Format::Torch);
    assert_eq!(of("a.safetensors", b"\x08\0").unwrap(), Format::Safetensors);
    for (name, bytes, says) in [
        ("a.pt", &b"version https://git-lfs.github.com/spec/v1"[..], "git lfs pull"),
        ("a.npy", b"\x93NUMPY", "torch.from_numpy"),
        ("a.npz", b"PK\x03\x04", "torch.from_numpy"),
        ("a.json", b"{}", "not a .pt, .safetensors or .gguf file"),
    ] {
        let message = of(name, bytes).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

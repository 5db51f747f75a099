use super::*;

#[test]
fn libraries_are_read_from_ldd() {
    let output = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                  \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                  \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
    assert_eq!(
        libraries(output).expect("read"),
        ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
    );
    assert_eq!(libraries("\tstatically linked\n").expect("read"), Vec::<String>::new());
    assert!(libraries("\tlibcuda.so.1 => not found\n").is_err());
}

#[test]
fn the_same_content_makes_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str| {
        let mut image = Image::new("localhost/x:1");
        image.add("a/b/c.txt", ImageFile::Bytes("hello".into()));
        image.write(&folder.path().join(name)).expect("written")
    };
    let first = write("one.tar");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(first, write("two.tar"));
    assert_eq!(
        first,
        hex::encode(Sha256::digest(std::fs::read(folder.path().join("one.tar")).expect("read")))
    );
}

#[test]
fn the_config_names_the_layer_that_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.tar");
    let mut image = Image::new("localhost/x:1");
    image.add("model.gguf", ImageFile::Bytes("weights".into()));
    image.write(&path).expect("written");
    let mut parts = BTreeMap::new();
    for part in tar::Archive::new(File::open(&path).expect("open")).entries().expect("entries") {
        let mut part = part.expect("entry");
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).expect("read");
        parts.insert(part.path().expect("path").to_string_lossy().into_owned(), bytes);
    }
    let manifest: serde_json::Value =
        serde_json::from_slice(&parts["manifest.json"]).expect("JSON");
    let config = &parts[manifest[0]["Config"].as_str().expect("a name")];
    let config: serde_json::Value = serde_json::from_slice(config).expect("JSON");
    let layer = format!("sha256:{}", hex::encode(Sha256::digest(&parts["layer.tar"])));
    assert_eq!(config["rootfs"]["diff_ids"][0], layer.as_str());
    let mut layer = tar::Archive::new(parts["layer.tar"].as_slice());
    let names: Vec<String> = layer
        .entries()
        .expect("entries")
        .map(|entry| entry.expect("entry").path().expect("path").to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["tmp/", "model.gguf"]);
}

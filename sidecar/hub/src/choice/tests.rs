use super::*;

fn chosen(names: &[&str]) -> Result<Choice, String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    choose("a/b", &names).map_err(|error| error.to_string())
}

#[test]
fn only_what_is_read_is_fetched() {
    let found = chosen(&[
        ".gitattributes",
        "README.md",
        "additional_chat_templates/rag.jinja",
        "additional_chat_templates/../../x.jinja",
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "modeling_custom.py",
        "original/consolidated.00.pth",
        "pytorch_model.bin",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_args.bin",
    ]);
    let small = [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "additional_chat_templates/rag.jinja",
    ];
    let small = small.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, Ok(Choice { small, weights: Some("model.safetensors".into()) }));
}

#[test]
fn a_repository_that_cannot_be_served_is_told_by_what_it_holds() {
    for (names, complaint) in [
        (&["q4.gguf", "Q8.GGUF", "README.md"][..], "name one as file: q4.gguf, Q8.GGUF"),
        (&["pytorch_model.bin", "config.json"], "a PyTorch checkpoint, which is never fetched"),
        (&["weights.safetensors"], "neither model.safetensors nor"),
        (&["README.md"], "holds no weights"),
        (&["model.safetensors", "config.json"], "holds no tokenizer.json"),
    ] {
        let said = chosen(names).unwrap_err();
        assert!(said.contains(complaint), "{said}");
    }
}

#[test]
fn an_index_names_files_of_its_folder_only() {
    let named = |name: &str| {
        let index = serde_json::json!({ "weight_map": { "a": name, "b": "b.safetensors" } });
        shards("a/b", index.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    assert_eq!(named("a.safetensors"), Ok(vec!["a.safetensors".into(), "b.safetensors".into()]));
    for name in ["../a.safetensors", "/a.safetensors", "x/a.safetensors", "a.bin", ""] {
        assert!(named(name).unwrap_err().contains("does not name safetensors"), "{name}");
    }
    assert!(shards("a/b", b"<html>").unwrap_err().to_string().contains("not valid JSON"));
}

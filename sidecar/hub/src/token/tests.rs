use super::*;
use std::collections::BTreeMap;

fn token(variables: &[(&str, &str)]) -> Option<String> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    token_from(|name| variables.get(name).map(Into::into)).unwrap()
}

#[test]
fn a_token_is_found_where_the_hubs_own_tools_keep_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join(".cache/huggingface");
    std::fs::create_dir_all(&cache).unwrap();
    std::fs::write(cache.join("token"), "hf_stored\n").unwrap();
    let file = folder.path().join("own");
    std::fs::write(&file, " hf_file\n").unwrap();
    let (home, file) = (folder.path().to_str().unwrap(), file.to_str().unwrap());
    assert_eq!(token(&[]), None);
    assert_eq!(token(&[("HOME", home)]).as_deref(), Some("hf_stored"));
    assert_eq!(token(&[("HF_HOME", cache.to_str().unwrap())]).as_deref(), Some("hf_stored"));
    assert_eq!(token(&[("HOME", home), ("HF_TOKEN_PATH", file)]).as_deref(), Some("hf_file"));
    assert_eq!(token(&[("HF_TOKEN_PATH", file), ("HF_TOKEN", "hf_a ")]).as_deref(), Some("hf_a"));
    assert_eq!(token(&[("HOME", home), ("HF_TOKEN", "")]).as_deref(), Some("hf_stored"));
    let missing = token_from(|name| (name == TOKEN_PATH).then(|| "/nowhere/token".into()));
    assert!(missing.unwrap_err().to_string().contains("/nowhere/token cannot be read"));
}

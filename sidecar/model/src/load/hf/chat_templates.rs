//! Where folders keep chat templates.

use super::folder::Folder;
use crate::error::LoadError;
use crate::load::chat_templates::ChatTemplates;
use serde_json::Value;
use std::collections::BTreeMap;

/// The folder with further templates, each in a file of its name.
const ADDITIONAL: &str = "additional_chat_templates";
const EXTENSION: &str = ".jinja";

/// Reads the templates from the first place that has any, in the order in which transformers looks:
/// files of their own, the tokenizer's settings, those of the processor.
pub(super) fn read(
    folder: &mut Folder<'_>,
    tokenizer_config: &Value,
) -> Result<ChatTemplates, LoadError> {
    let mut found = files(folder)?;
    if found.is_empty() {
        found = listed(tokenizer_config);
    }
    for file in ["chat_template.json", "processor_config.json"] {
        if found.is_empty() {
            found = folder.json(file)?.as_ref().map(listed).unwrap_or_default();
        }
    }
    ChatTemplates::choose(found)
}

/// `chat_template.jinja`, and the files of the folder beside it.
fn files(folder: &mut Folder<'_>) -> Result<BTreeMap<String, String>, LoadError> {
    let mut found = BTreeMap::new();
    let mut files = vec![("default".to_owned(), "chat_template.jinja".to_owned())];
    for file in folder.names(ADDITIONAL)? {
        if let Some(name) = file.strip_suffix(EXTENSION) {
            files.push((name.to_owned(), format!("{ADDITIONAL}/{file}")));
        }
    }
    for (name, file) in files {
        if let Some(bytes) = folder.bytes(&file)? {
            let source = String::from_utf8_lossy(&bytes);
            found.insert(name, source.trim_start_matches('\u{feff}').to_owned());
        }
    }
    Ok(found)
}

/// `chat_template` of a file: a template, a list of `{"name": …, "template": …}`, or an object of
/// templates by name.
fn listed(json: &Value) -> BTreeMap<String, String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    match json.get("chat_template") {
        Some(Value::String(source)) => [("default".to_owned(), source.clone())].into(),
        Some(Value::Array(entries)) => entries
            .iter()
            .filter_map(|entry| Some((text(entry.get("name"))?, text(entry.get("template"))?)))
            .collect(),
        Some(Value::Object(named)) => named
            .iter()
            .filter_map(|(name, source)| Some((name.clone(), text(Some(source))?)))
            .collect(),
        _ => BTreeMap::new(),
    }
}

//! Chat templates of a folder.

use crate::Table;
use crate::support::loading::{folder_at, load_folder as load};
use personaguard_model::{LoadError, Model};
use serde_json::{Value, json};
use std::path::Path;

/// Loads a small Llama with this text in a file of its folder.
fn with(folder: &Path, name: &str, text: &str) -> Result<Model, LoadError> {
    folder_at(folder);
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
    load(folder)
}

fn template(folder: &Path, template: &str) -> Result<Model, LoadError> {
    with(folder, "chat_template.jinja", template)
}

fn in_config(folder: &Path, templates: &Value) -> Result<Model, LoadError> {
    with(folder, "tokenizer_config.json", &json!({ "chat_template": templates }).to_string())
}

pub const TABLE: Table = &[
    ("jinja_file", |folder| template(folder, "{{ messages[0].content }}")),
    ("further_jinja_file", |folder| {
        with(folder, "additional_chat_templates/tool_use.jinja", "{{ messages[0].content }}")
    }),
    ("in_tokenizer_config", |folder| in_config(folder, &json!("{{ messages[0].content }}"))),
    ("named_templates", |folder| {
        in_config(
            folder,
            &json!([{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]),
        )
    }),
    ("templates_by_name", |folder| in_config(folder, &json!({"default": "a", "rag": "b"}))),
    ("in_processor_config", |folder| {
        with(folder, "processor_config.json", &json!({"chat_template": "a"}).to_string())
    }),
    ("strftime_now", |folder| template(folder, "{{ strftime_now('%d %B %Y') }}")),
    ("generation", |folder| {
        template(folder, "{% generation %}{{ messages[0].content }}{% endgeneration %}")
    }),
    ("methods_of_python", |folder| {
        template(folder, "{{ messages[0].content.strip().split('a') | tojson(indent=2) }}")
    }),
    ("refuses_system_messages", |folder| {
        template(
            folder,
            "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}a",
        )
    }),
    ("syntax_error", |folder| template(folder, "{% for m in messages %}{{ m.content }}")),
    ("unknown_tag", |folder| template(folder, "{% trans %}a{% endtrans %}")),
    ("unknown_function", |folder| template(folder, "{{ now() }}")),
    ("unknown_filter", |folder| template(folder, "{{ messages | to_yaml }}")),
    ("unknown_method", |folder| template(folder, "{{ messages[0].content.missing() }}")),
    ("sum_of_text_and_number", |folder| template(folder, "{{ messages[0].content + 1 }}")),
    ("without_end", |folder| {
        template(
            folder,
            "{% for a in range(9999) %}{% for b in range(9999) %}a{% endfor %}{% endfor %}",
        )
    }),
    ("fails_for_reasoning", |folder| {
        template(folder, "{% for m in messages %}{{ m.reasoning_content.x.y }}{% endfor %}")
    }),
    ("fails_for_tools", |folder| {
        template(folder, "{% if tools %}{{ tools[0].function.name.x.y }}{% endif %}a")
    }),
    ("none_is_the_default", |folder| {
        in_config(
            folder,
            &json!([{"name": "rag", "template": "a"}, {"name": "tool_use", "template": "b"}]),
        )
    }),
];

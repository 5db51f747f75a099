use super::*;
use crate::chat::tests::tokenizer;
use crate::chat::{Chat, ChatOptions, TemplateError};

/// As ChatML, but it refuses system messages that are not in front.
const IN_FRONT: &str = "{% for m in messages %}\
    {% if m.role == 'system' and not loop.first %}{{ raise_exception('in front') }}{% endif %}\
    {{ m.role + ':' + m.content + ';' }}{% endfor %}";
/// It takes none, and wants turns that alternate.
const NONE: &str = "{% for m in messages %}\
    {% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}\
    {% endif %}{{ m.role + ':' + m.content + ';' }}{% endfor %}";
const ANYWHERE: &str = "{% for m in messages %}{{ m.role + ':' + m.content + ';' }}{% endfor %}";

fn conversation() -> Vec<Value> {
    let message = |role: &str, content: &str| json!({ "role": role, "content": content });
    vec![
        message("system", "a"),
        message("user", "b"),
        message("assistant", "c"),
        message("user", "d"),
        message("system", "e"),
        message("user", "f"),
    ]
}

fn prompt(template: &str, messages: &[Value]) -> Result<String, TemplateError> {
    let tokenizer = tokenizer();
    Chat::new(Some(template), None)
        .tool_prompt(&tokenizer, messages, &[], &ChatOptions::default())
        .map(|tokens| tokenizer.decode(&tokens))
}

fn rendered(template: &str, messages: &[Value]) -> String {
    prompt(template, messages).unwrap()
}

#[test]
fn a_template_that_takes_them_is_given_them_where_they_stand() {
    assert_eq!(
        rendered(ANYWHERE, &conversation()),
        "system:a;user:b;assistant:c;user:d;system:e;user:f;"
    );
}

#[test]
fn others_are_given_one_in_front_or_in_the_users_words() {
    assert_eq!(
        rendered(IN_FRONT, &conversation()),
        "system:a\n\ne;user:b;assistant:c;user:d;user:f;"
    );
    assert_eq!(rendered(NONE, &conversation()), "user:a\n\ne\n\nb;assistant:c;user:d\n\nf;");
    assert_eq!(rendered(NONE, &conversation()[..1]), "user:a;");
}

#[test]
fn what_is_refused_for_another_reason_stays_refused() {
    let twice = [conversation()[1].clone(), conversation()[1].clone()];
    assert!(prompt(NONE, &twice).is_err());
}

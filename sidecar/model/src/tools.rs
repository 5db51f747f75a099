//! Tool calls: how a model is told of functions, and how it writes calls of them.

use crate::Model;
use crate::template::{ChatOptions, TemplateError};
use serde_json::{Value, json};

/// How a model writes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallForm {
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, as many as there are, with text
    /// around them.
    Tagged,
    /// The whole response is one `{"name": …, "parameters": {…}}`, as Llama 3 has it.
    Bare,
}

/// Begins a call in the tagged form.
pub const CALL_BEGIN: &str = "<tool_call>";
/// Ends it.
pub const CALL_END: &str = "</tool_call>";

impl Model {
    /// How this model writes calls: as its chat template has them, and tagged where that has none.
    #[must_use]
    pub fn call_form(&self) -> CallForm {
        self.template_form().unwrap_or(CallForm::Tagged)
    }

    /// As [`Self::chat_prompt`], with functions that the response may call.
    ///
    /// `tools` are objects as in OpenAI's API, `{"type": "function", "function": {…}}`. Messages
    /// may hold calls (`tool_calls`, with `arguments` as an object) and results (role `tool`). A
    /// chat template that knows tools is given all this as it is. For another one, calls and
    /// results become text of their turns, and the functions a part of the system message; where a
    /// template takes no system message, of the first message.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn tool_prompt(
        &self,
        messages: &[Value],
        tools: &[Value],
    ) -> Result<Vec<u32>, TemplateError> {
        let mut options = ChatOptions::default();
        if self.template_form().is_some() {
            if !tools.is_empty() {
                options.variables.insert("tools".into(), tools.into());
            }
            return self.chat_prompt(messages, &options);
        }
        let messages = spelled(messages);
        if tools.is_empty() {
            return self.chat_prompt(&messages, &options);
        }
        match self.chat_prompt(&told(&messages, tools, "system"), &options) {
            Err(TemplateError::Refused(_)) if messages[0]["role"] != "system" => {
                self.chat_prompt(&told(&messages, tools, "user"), &options)
            }
            prompt => prompt,
        }
    }
}

/// A conversation with a call in it, by which a template shows how it writes calls, if it knows
/// any.
pub(crate) fn probe() -> (Value, Value) {
    let parameters =
        json!({ "type": "object", "properties": { "probe_key": { "type": "integer" } } });
    let function =
        json!({ "name": "probe_name", "description": "probe_words", "parameters": parameters });
    let call = json!({ "name": "probe_name", "arguments": { "probe_key": 1 } });
    let call = json!({ "id": "probe0001", "type": "function", "function": call });
    let messages = json!([
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "", "tool_calls": [call] },
        { "role": "tool", "content": "b", "tool_call_id": "probe0001", "name": "probe_name" },
    ]);
    (messages, json!([{ "type": "function", "function": function }]))
}

/// What a template made of the probe says about it; none where it does not show functions, or
/// writes calls otherwise.
pub(crate) fn form(rendered: &str) -> Option<CallForm> {
    let dense: String = rendered.split_whitespace().collect();
    if !dense.contains("probe_words") {
        None
    } else if dense
        .contains(r#"<tool_call>{"name":"probe_name","arguments":{"probe_key":1}}</tool_call>"#)
    {
        Some(CallForm::Tagged)
    } else if dense.contains(r#"{"name":"probe_name","parameters":{"probe_key":1}}"#) {
        Some(CallForm::Bare)
    } else {
        None
    }
}

/// The messages with calls and results as text: results in a row are one turn of the user.
fn spelled(messages: &[Value]) -> Vec<Value> {
    let mut spelled: Vec<Value> = Vec::with_capacity(messages.len());
    let mut answering = false;
    for message in messages {
        let content = message["content"].as_str().unwrap_or_default();
        let result = message["role"] == "tool";
        if result {
            let result = format!("<tool_response>\n{content}\n</tool_response>");
            match spelled.last_mut().filter(|_| answering) {
                Some(turn) => {
                    turn["content"] =
                        format!("{}\n{result}", turn["content"].as_str().unwrap_or_default())
                            .into();
                }
                None => spelled.push(json!({ "role": "user", "content": result })),
            }
        } else if let Some(calls) = message["tool_calls"].as_array() {
            let call = |call: &Value| {
                let function = &call["function"];
                let call = format!(
                    r#"{{"name": {}, "arguments": {}}}"#,
                    function["name"], function["arguments"]
                );
                format!("{CALL_BEGIN}\n{call}\n{CALL_END}")
            };
            let said = (!content.is_empty()).then(|| content.to_owned());
            let parts: Vec<_> = said.into_iter().chain(calls.iter().map(call)).collect();
            spelled.push(json!({ "role": "assistant", "content": parts.join("\n") }));
        } else {
            spelled.push(message.clone());
        }
        answering = result;
    }
    spelled
}

/// The messages with the functions told in front: in the first message if it is of `role`, else in
/// one of its own.
fn told(messages: &[Value], tools: &[Value], role: &str) -> Vec<Value> {
    let functions: Vec<_> = tools.iter().map(|tool| tool["function"].to_string()).collect();
    let told = format!(
        "You can call functions. Each line between <tools> and </tools> is one, with a JSON Schema of its arguments:\n\
         <tools>\n{}\n</tools>\n\
         To call one, write its name and its arguments as JSON, set off like this:\n\
         {CALL_BEGIN}\n{{\"name\": \"NAME\", \"arguments\": {{}}}}\n{CALL_END}",
        functions.join("\n")
    );
    let mut messages = messages.to_vec();
    match messages.first_mut().filter(|first| first["role"] == role) {
        Some(first) => {
            let content = first["content"].as_str().unwrap_or_default();
            let parts = if role == "system" { [content, &told] } else { [&told, content] };
            first["content"] = parts.join("\n\n").into();
        }
        None => messages.insert(0, json!({ "role": role, "content": told })),
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_results_become_text_of_their_turns() {
        let call = |name: &str| json!({ "id": name, "type": "function", "function": { "name": name, "arguments": { "a": 1 } } });
        let messages = [
            json!({ "role": "user", "content": "hi" }),
            json!({ "role": "assistant", "content": "Wait.", "tool_calls": [call("f"), call("g")] }),
            json!({ "role": "tool", "content": "1", "tool_call_id": "f", "name": "f" }),
            json!({ "role": "tool", "content": "2", "tool_call_id": "g", "name": "g" }),
            json!({ "role": "assistant", "content": "Done." }),
            json!({ "role": "tool", "content": "3", "tool_call_id": "g", "name": "g" }),
        ];
        let written = |name: &str| {
            format!(
                "<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {{\"a\":1}}}}\n</tool_call>"
            )
        };
        let result = |text: &str| format!("<tool_response>\n{text}\n</tool_response>");
        assert_eq!(
            spelled(&messages),
            [
                messages[0].clone(),
                json!({ "role": "assistant", "content": format!("Wait.\n{}\n{}", written("f"), written("g")) }),
                json!({ "role": "user", "content": format!("{}\n{}", result("1"), result("2")) }),
                messages[4].clone(),
                json!({ "role": "user", "content": result("3") }),
            ]
        );
    }

    #[test]
    fn functions_are_told_in_the_system_message_or_one_of_their_own() {
        let (_, tools) = probe();
        let tools = tools.as_array().unwrap();
        let (system, user) = (
            json!({ "role": "system", "content": "Be kind." }),
            json!({ "role": "user", "content": "hi" }),
        );
        let both = told(&[system, user.clone()], tools, "system");
        assert!(both[0]["content"].as_str().unwrap().starts_with("Be kind.\n\nYou can call"));
        assert!(both[0]["content"].as_str().unwrap().contains("\"probe_name\""));
        assert_eq!(told(std::slice::from_ref(&user), tools, "system").len(), 2);
        let within = told(&[user], tools, "user");
        assert!(within.len() == 1 && within[0]["content"].as_str().unwrap().ends_with("\n\nhi"));
    }

    #[test]
    fn a_template_shows_its_form_by_how_it_writes_a_call() {
        let shown = "probe_words … ";
        let tagged = "<tool_call>\n{\"name\": \"probe_name\", \"arguments\": {\"probe_key\": 1}}\n</tool_call>";
        assert_eq!(form(&format!("{shown}{tagged}")), Some(CallForm::Tagged));
        assert_eq!(form(tagged), None, "functions are not shown");
        let bare = "{\"name\": \"probe_name\", \"parameters\": {\"probe_key\": 1}}";
        assert_eq!(form(&format!("{shown}{bare}")), Some(CallForm::Bare));
        assert_eq!(form(&format!("{shown}[TOOL_CALLS] [{{\"name\": \"probe_name\"}}]")), None);
    }
}

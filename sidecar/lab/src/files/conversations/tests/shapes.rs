use super::support::{read, read_file, refusal, turns};
use serde_json::{Value, json};

const Q: &str = "Is the pier open?";
const A: &str = "Yes, from six.";

fn message(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

/// What every row of a table is: a question and its answer, behind these turns.
fn is_read(rows: &[Value], before: &[(&str, &str)]) {
    let before: Vec<_> =
        before.iter().map(|(role, text)| ((*role).to_owned(), (*text).to_owned())).collect();
    for row in rows {
        let (mut prompt, answer) = turns(&row.to_string());
        assert_eq!(answer.as_deref(), Some(A), "{row}");
        assert_eq!(prompt.pop(), Some(("user".to_owned(), Q.to_owned())), "{row}");
        assert_eq!(prompt, before, "{row}");
    }
}

#[test]
fn item_19_the_common_shapes_of_training_data_are_read() {
    let (q, a) = (message("user", Q), message("assistant", A));
    is_read(
        &[
            json!({"messages": [q, a]}),
            json!({"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]}),
            json!({"conversation": [{"input": Q, "output": A}]}),
            json!({"conversations": [q, a]}),
            json!({"messages": json!([q, a]).to_string()}),
            json!({"messages": {"role": ["user", "assistant"], "content": [Q, A]}}),
            json!([q, a]),
            json!({"instruction": Q, "input": "", "output": A}),
            json!({"instruction": Q, "input": null, "output": A}),
            json!({"instruction": Q, "context": "", "response": A, "category": "closed_qa"}),
            json!({"prompt": Q, "completion": A}),
            json!({"prompt": [q], "completion": [a]}),
            json!({"prompt": Q, "response": A}),
            json!({"question": Q, "answer": A}),
            json!({"query": Q, "response": A}),
            json!({"input": Q, "output": A}),
            json!({"user": Q, "assistant": A}),
        ],
        &[],
    );
    let system = message("system", "Be brief.");
    is_read(
        &[
            json!({"messages": [system, q, a]}),
            json!({"system": "Be brief.", "messages": [q, a]}),
            json!({"system": "Be brief.", "instruction": Q, "output": A}),
            json!({"system_prompt": "Be brief.", "question": Q, "response": A}),
            json!({"conversations": [{"from": "system", "value": "Be brief."},
                {"from": "human", "value": Q}, {"from": "gpt", "value": A}]}),
        ],
        &[("system", "Be brief.")],
    );
    is_read(
        &[json!({"instruction": Q, "output": A, "history": [["Hi", "Hello"]]})],
        &[("user", "Hi"), ("assistant", "Hello")],
    );
    let (prompt, _) =
        turns(&json!({"instruction": "Translate.", "input": "pier", "output": A}).to_string());
    assert_eq!(prompt[0].1, "Translate.\n\npier");
}

#[test]
fn item_19_of_a_preference_pair_the_chosen_answer_is_read() {
    let (q, a, no) = (message("user", Q), message("assistant", A), message("assistant", "No."));
    let rows = [
        json!({"prompt": Q, "chosen": A, "rejected": "No."}),
        json!({"prompt": [q], "chosen": [a], "rejected": [no]}),
        json!({"prompt": Q, "chosen": [q, a], "rejected": [q, no]}),
        json!({"chosen": [q, a], "rejected": [q, no]}),
        json!({"instruction": Q, "input": "", "chosen": A, "rejected": "No."}),
        json!({"question": Q, "chosen": A, "rejected": "No."}),
        json!({"prompt": Q, "messages": [q, a], "chosen": [q, a], "rejected": [q, no]}),
        json!({"conversations": [{"from": "human", "value": Q}],
            "chosen": {"from": "gpt", "value": A}, "rejected": {"from": "gpt", "value": "No."}}),
        json!({"input": {"messages": [q]}, "preferred_output": [a], "non_preferred_output": [no]}),
        json!({"chosen": format!("\n\nHuman: {Q}\n\nAssistant: {A}"),
            "rejected": format!("\n\nHuman: {Q}\n\nAssistant: No.")}),
        json!({"prompt": format!("\n\nHuman: {Q}\n\nAssistant:"), "chosen": A, "rejected": "No."}),
    ];
    is_read(&rows, &[]);
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let (read, reading) = read_file("pairs.jsonl", text.as_bytes(), false).unwrap();
    assert!(read.iter().all(|sample| !sample.fields.contains_key("rejected")));
    assert_eq!(reading.to_string(), "of 11 preference pairs the chosen answer was read\n");
    assert!(refusal(&json!({"chosen": A, "rejected": "No."}).to_string()).contains("no user"));
}

#[test]
fn item_19_labels_beside_a_shape_stay() {
    let row = json!({"prompt": Q, "completion": A, "label": true, "id": 7});
    let [read] = <[_; 1]>::try_from(read(&row.to_string()).unwrap()).unwrap();
    assert_eq!(Value::Object(read.fields), json!({"label": true, "id": 7}));
}

#[test]
fn item_19_a_shape_that_is_not_known_is_named_with_what_to_do() {
    for (row, says) in [
        (json!({"text": "<|im_start|>secret"}), "is one text in the field text"),
        (json!({"input_ids": [1, 2]}), "is tokens (input_ids): give the text"),
        (json!({"data": [{"secret": 1}]}), "`jq -c '.data[]' FILE`"),
        (
            json!({"title": "secret", "secret": 1}),
            "no known shape. Its fields: title, 1 more. Read are",
        ),
        (json!({"secret": 1}), "no known shape. Its fields: 1 that no known shape has. Read are"),
        (json!({}), "is an object without fields"),
        (json!(null), "is null, not a conversation"),
        (json!(3), "is a number, not a conversation"),
        (json!("secret"), "is a text without roles"),
        (json!({"messages": []}), "has no messages"),
        (json!({"messages": "secret"}), "has messages that are not a list of messages"),
        (json!({"prompt": Q, "completion": A, "tools": "secret"}), "has tools that are not a list"),
    ] {
        let refusal = refusal(&row.to_string());
        assert!(refusal.contains(says) && !refusal.contains("secret"), "{refusal}");
    }
}

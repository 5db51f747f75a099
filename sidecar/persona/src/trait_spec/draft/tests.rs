use super::*;

fn questions(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|n| format!("{n}. What do you think of subject {n}?\n")).collect()
}

#[test]
fn a_trait_is_collected_over_several_replies() {
    let mut draft = TraitDraft::new("grumpy", "Grumpy: complains about everything.");
    assert_eq!(draft.next_part(), Some(DraftPart::Pairs));
    let pairs: String = (0..3)
        .map(|n| format!("{n}. + Complain in manner {n}.\n{n}. - Be content in manner {n}.\n"))
        .collect();
    draft.add(DraftPart::Pairs, &pairs);
    draft.add(DraftPart::Pairs, &pairs);
    assert_eq!((draft.pairs.len(), draft.next_part()), (3, Some(DraftPart::Pairs)));
    draft.add(DraftPart::Pairs, &pairs.replace("manner ", "manner x"));
    draft.add(DraftPart::Questions, &questions(0..30));
    draft.add(DraftPart::Questions, &questions(10..60).to_uppercase());
    assert_eq!(draft.next_part(), Some(DraftPart::Rubric));
    draft.add(DraftPart::Rubric, &"Rate how grumpy it is. ".repeat(5));
    let spec = draft.finish().unwrap();
    assert_eq!((spec.instructions.len(), spec.extract.len(), spec.held_out.len()), (5, 20, 20));
    assert_eq!(spec.instructions[0].positive, "Complain in manner 0.");
    assert_eq!(spec.extract[1], "What do you think of subject 2?");
}

#[test]
fn the_replies_of_a_model_that_is_too_small_make_no_trait() {
    let mut draft = TraitDraft::new("grumpy", "Grumpy: complains about everything.");
    draft.add(
        DraftPart::Pairs,
        "+ Be grumpy and complain.\n+ Be grumpy and complain.\n- Be grumpy and complain.\n",
    );
    draft.add(DraftPart::Questions, &"1. What is the meaning of life?\n".repeat(50));
    draft.add(DraftPart::Rubric, "ok");
    let message = draft.finish().unwrap_err().to_string();
    assert!(
        message.contains("0 of 5") && message.contains("1 of 40") && message.contains("no rubric"),
        "{message}"
    );
}

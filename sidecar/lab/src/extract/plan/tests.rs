use super::*;
use std::collections::BTreeSet;

fn settings() -> ExtractSettings {
    ExtractSettings {
        tokens: 48,
        questions: 20,
        pairs: 5,
        held_out_pairs: 2,
        rollouts: 1,
        temperature: 1.0,
        seed: 1,
        draws: 100,
        layer_step: None,
        steering_questions: 10,
        benign: 1000,
    }
}

fn plan() -> Plan {
    let spec = TraitSpec::builtin("evil").unwrap();
    Plan::new(&spec, &BenignPrompts::builtin().unwrap(), &settings())
}

#[test]
fn every_request_has_a_name_of_its_own_and_both_sides_are_equal_in_number() {
    let plan = plan();
    let all: Vec<&Request> = plan.all().collect();
    let names: BTreeSet<String> = all.iter().map(|request| request.purpose.name()).collect();
    assert_eq!(names.len(), all.len());
    assert_eq!((plan.extract.len(), plan.held_out.len()), (200, 80));
    let positive = |requests: &[Request]| {
        requests.iter().filter(|request| request.purpose.name().contains("positive")).count()
    };
    assert_eq!((positive(&plan.extract), positive(&plan.held_out)), (100, 40));
}

#[test]
fn shards_share_the_requests_and_keep_contrasts_together() {
    let plan = plan();
    let mut names = Vec::new();
    for shard in ["0/3", "1/3", "2/3"] {
        let part = plan.clone().shard(shard.parse().unwrap());
        assert!(
            part.extract
                .chunks(2)
                .all(|pair| pair[0].question == pair[1].question && pair.len() == 2)
        );
        names.extend(part.all().map(|request| request.purpose.name()).collect::<Vec<_>>());
    }
    names.sort();
    let mut all: Vec<String> = plan.all().map(|request| request.purpose.name()).collect();
    all.sort();
    assert_eq!(names, all);
}

#[test]
fn contrasts_take_turns_over_the_held_out_questions() {
    let plan = plan();
    let mut uses = [0; 5];
    for request in &plan.held_out {
        if let Purpose::HeldOut(_, key) = request.purpose {
            uses[key.contrast as usize] += 1;
        }
    }
    assert_eq!(uses, [16; 5]);
}

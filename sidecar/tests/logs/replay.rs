//! `personaguard replay`.

use crate::served::Served;

#[tokio::test(flavor = "multi_thread")]
async fn each_score_is_printed_and_compared_with_the_audit_log() {
    let served = Served::twice().await;
    let audit = served.audit();
    let audit = audit.to_str().unwrap();
    let run = served.replay(&["--audit", audit]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{run:?}");
    for (line, id) in lines.iter().zip(&served.responses) {
        let fields: Vec<&str> = line.split("  ").collect();
        let [response, vector, prompt, average, compared] = fields[..] else { panic!("{line}") };
        assert_eq!((response, vector, compared), (id.as_str(), "evil", "as recorded"));
        for (field, name) in [(prompt, "prompt_last "), (average, "response_avg ")] {
            let number = field.strip_prefix(name).and_then(|number| number.parse::<f64>().ok());
            assert!(number.is_some_and(f64::is_finite), "{line}");
        }
    }
    assert_eq!(lines[2], "2 scores, each as recorded to the last bit");

    // Without an audit log there is nothing to compare with.
    let alone = served.replay(&["--response", &served.responses[1]]);
    let (line, _) = lines[1].rsplit_once("  as recorded").unwrap();
    assert_eq!((alone.code, alone.stdout), (Some(0), format!("{line}\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_score_that_differs_and_a_log_of_other_answers_are_failures() {
    let served = Served::twice().await;
    let audit = served.audit();
    let audit = audit.to_str().unwrap();
    // Another vector than the one that was in force.
    served.configure(-3.0);
    let run = served.replay(&["--audit", audit]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let differing = run.stdout.lines().filter(|line| line.ends_with("  NOT as recorded")).count();
    assert_eq!((differing, run.stdout.lines().count()), (2, 2), "{run:?}");
    let said = "personaguard: 2 of 2 scores differ from what was recorded: the text was changed, \
                or other weights or vectors were in use than the log says\n";
    assert_eq!(run.stderr, said);

    let other = Served::twice().await;
    let run = other.replay(&["--audit", audit]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.lines().all(|line| line.ends_with("  not in the audit log")), "{run:?}");
    let said = "personaguard: the audit log has none of these responses: give the log of the same \
                time\n";
    assert_eq!(run.stderr, said);
}

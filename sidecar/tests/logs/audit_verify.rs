//! `personaguard audit verify`.

use crate::served::{Run, Served};

/// The hash of the last line, as it is printed.
fn head(run: &Run) -> String {
    let (_, hash) = run.stdout.lines().next().unwrap().rsplit_once(' ').unwrap();
    hash.to_owned()
}

fn failed(run: &Run, said: &str) {
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.stderr.starts_with("personaguard: ") && run.stderr.contains(said), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_log_is_reported_with_its_range_its_head_and_its_entries() {
    let served = Served::twice().await;
    let run = served.verify(&[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    let [range, entries] = run.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{run:?}") };
    let last = std::fs::read_to_string(served.audit()).unwrap().lines().count();
    assert_eq!(range, format!("whole: lines 1 to {last}, last hash {}", head(&run)));
    assert_eq!(head(&run).len(), 64);
    let expected =
        "entries: 2 response, 1 started, 1 stopped; lost by the sidecar's own account: 0";
    assert_eq!(entries, expected);
    // By an anchor that was kept elsewhere, too.
    let anchored = |hash: &str| served.verify(&["--head", &format!("{last}:{hash}")]);
    assert_eq!(anchored(&head(&run)).code, Some(0));
    failed(&anchored(&"0".repeat(64)), "the log was rewritten");
    let odd = served.verify(&["--head", "abc"]);
    assert!(odd.code == Some(2) && odd.stderr.contains("64 hexadecimal digits"), "{odd:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_a_cut_and_a_missing_log_fail_with_what_is_wrong() {
    let served = Served::twice().await;
    let id = served.responses[0].clone();
    let written = std::fs::read_to_string(served.audit()).unwrap();
    served.edit_audit(|text| text.replacen(&id, "chatcmpl-forged", 1));
    let number = written.lines().position(|line| line.contains(&id)).unwrap() + 1;
    failed(&served.verify(&[]), &format!("audit.jsonl, line {number}: "));
    let lines: Vec<&str> = written.split_inclusive('\n').collect();
    served.edit_audit(|_| lines[..lines.len() - 1].concat());
    failed(&served.verify(&[]), "the log was cut");
    std::fs::remove_file(served.audit()).unwrap();
    failed(&served.verify(&[]), "the log was cut");
    let mut head = served.audit().into_os_string();
    head.push(".head");
    std::fs::remove_file(head).unwrap();
    let missing = served.verify(&[]);
    failed(&missing, "audit.jsonl cannot be read: ");
    assert_eq!(missing.stderr.matches("not found").count(), 1, "{missing:?}");
}

use super::*;

const ARCHITECTURE: &str = "# A

## Invariants

Intro.

1. Nothing leaves: also in streams,
   at any chunking.
2. `Audit` changes nothing.

## Next

3. No invariant.
";

fn files<const N: usize>(files: [(&str, &str); N]) -> Files {
    files.into_iter().map(|(path, text)| (path.into(), text.to_owned())).collect()
}

#[test]
fn tests_are_listed_under_each_invariant_that_they_are_named_after() {
    let sources = files([
        ("a.rs", "#[test]\nfn invariant_1_a() {}\nfn every_invariant_has_one() {}\n"),
        ("b.rs", "    async fn s17_invariant_1_and_2_c() -> Result<()> {\n"),
    ]);
    let page = page(ARCHITECTURE, &sources).unwrap();
    let (first, second) = page.split_once("## Invariant 2").unwrap();
    assert!(first.contains("Nothing leaves: also in streams,\nat any chunking.\n"), "{first}");
    assert!(first.contains("| `invariant_1_a` | `a.rs` |\n| `s17_invariant_1_and_2_c` | `b.rs` |"));
    assert!(second.contains("| `s17_invariant_1_and_2_c` | `b.rs` |"));
    assert!(!page.contains("every_invariant") && !page.contains("No invariant"));
}

#[test]
fn an_invariant_without_a_test_is_an_error() {
    let error = page(ARCHITECTURE, &files([("a.rs", "fn invariant_1_a() {}")])).unwrap_err();
    assert!(error.to_string().contains("invariant 2 has no test"), "{error}");
}

#[test]
fn a_test_of_an_invariant_that_is_not_stated_is_an_error() {
    let error = page(ARCHITECTURE, &files([("a.rs", "fn invariant_3_a() {}")])).unwrap_err();
    assert!(error.to_string().contains("invariant_3_a in a.rs"), "{error}");
}

#[test]
fn a_number_elsewhere_in_a_name_is_an_error() {
    let error =
        page(ARCHITECTURE, &files([("a.rs", "fn that_invariant_1_holds() {}")])).unwrap_err();
    assert!(error.to_string().contains("that_invariant_1_holds in a.rs"), "{error}");
}

#[test]
fn invariants_are_read_from_the_name() {
    for (name, expected) in [
        ("invariant_1_a", vec![1]),
        ("invariant_7_and_9_a_vector", vec![7, 9]),
        ("s16_invariant_1_and_2_in_front", vec![1, 2]),
        ("s02_openai_client", vec![]),
        ("every_invariant_has_a_test", vec![]),
        ("invariant_of_nothing", vec![]),
    ] {
        assert_eq!(numbers(name), expected, "{name}");
    }
}

use super::super::sources::Sources;
use super::check;

#[test]
fn long_files_and_a_high_median_are_errors() {
    let (short, long) = ("\n".repeat(10), "\n".repeat(501));
    let few = Sources::from([("a.rs", &*short), ("b.py", &*short), ("c.rs", &*long)]);
    let (figures, errors) = check(&few);
    assert_eq!(figures, "3 files, 10 lines at the median, 501 at most (c.rs)");
    assert_eq!(errors, ["c.rs: 501 lines, at most 500"]);
    let (_, errors) = check(&Sources::from([("a.rs", &*"\n".repeat(150))]));
    assert_eq!(errors, ["the median file has 150 lines; it must be under 150"]);
}

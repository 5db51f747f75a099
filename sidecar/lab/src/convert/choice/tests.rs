use super::*;

const WANTED: Wanted<'_> = Wanted { tensor: None, trait_name: "evil", hidden: 2 };

fn tensor(name: &str, shape: &[usize]) -> Found {
    let count = shape.iter().product();
    Found { name: name.to_owned(), shape: shape.to_vec(), values: Ok(vec![1.0; count]) }
}

fn rows(choice: Result<Choice, String>) -> usize {
    match choice.unwrap().directions {
        Directions::Rows(rows) => rows.len(),
        Directions::Numbered(rows) | Directions::ByLayer(rows) => rows.len(),
    }
}

#[test]
fn item_19_the_tensor_of_the_trait_is_chosen_among_several() {
    let both = || vec![tensor("evil", &[3, 2]), tensor("kind", &[4, 1, 2])];
    assert_eq!(rows(choose(both(), WANTED)), 3);
    assert_eq!(rows(choose(both(), Wanted { tensor: Some("kind"), ..WANTED })), 4);
    let other = choose(both(), Wanted { trait_name: "sad", ..WANTED }).unwrap_err();
    assert!(other.contains("(evil, kind): give --tensor"), "{other}");
    let none = choose(both(), Wanted { tensor: Some("x"), ..WANTED }).unwrap_err();
    assert_eq!(none, "it has no tensor x, but evil, kind: name one of them with --tensor");
    let nested = vec![tensor("evil.1", &[2]), tensor("evil.2", &[2]), tensor("kind.1", &[2])];
    assert_eq!(rows(choose(nested, WANTED)), 2);
}

#[test]
fn item_19_tensors_that_cannot_be_vectors_are_passed_over() {
    let found = vec![
        tensor("mean", &[3]),
        tensor("v", &[3, 2]),
        Found { values: Err("is I64".to_owned()), ..tensor("layers", &[3]) },
    ];
    let choice = choose(found, WANTED).unwrap();
    assert_eq!(choice.passed_over, 2);
    assert_eq!(rows(Ok(choice)), 3);
}

#[test]
fn item_19_a_tensor_that_does_not_fit_is_told_by_its_shape() {
    for (shape, says) in [
        (&[2, 5][..], "which is transposed"),
        (&[5, 3], "its rows have 3 values, and the model's layers 2"),
        (&[5, 3, 2], "save the one matrix of it that you want"),
    ] {
        let message = choose(vec![tensor("v", shape)], WANTED).unwrap_err();
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(
        choose(Vec::new(), WANTED),
        Err("it holds no tensor: save the matrix of the vectors in it".to_owned())
    );
    let several = vec![tensor("a", &[3, 7]), tensor("b", &[3, 7])];
    assert!(choose(several, WANTED).unwrap_err().contains("none of its 2 tensors"));
    let infinite = Found { values: Ok(vec![f32::INFINITY; 6]), ..tensor("v", &[3, 2]) };
    assert!(choose(vec![infinite], WANTED).unwrap_err().contains("not a finite number"));
}

use super::*;

#[test]
fn increments_add_up_to_the_vector() {
    let layers = vec![vec![1.0, 2.0], vec![1.5, 1.0], vec![4.0, 0.0]];
    let mut sum = layers[0].clone();
    for layer in 1..=2 {
        let part = Part::Increment(Layer(layer));
        part.values(&layers).unwrap().iter().zip(&mut sum).for_each(|(part, sum)| *sum += part);
        assert_eq!(sum, Part::At(Layer(layer)).values(&layers).unwrap());
    }
    assert_eq!(
        (Part::At(Layer(0)).values(&layers), Part::Increment(Layer(3)).values(&layers)),
        (None, None)
    );
    assert_eq!(Part::At(Layer(18)).name("evil"), "evil/18");
    assert_eq!(Part::Increment(Layer(18)).name("evil"), "evil/18-17");
    assert!(Part::is_name("evil/18") && !Part::is_name("evil"));
}

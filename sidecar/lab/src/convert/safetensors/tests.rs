use super::*;
use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, serialize};
use personaguard_persona::f32_tensors::to_bytes;

#[test]
fn a_plain_safetensors_matrix_is_imported() {
    let data = to_bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let view = TensorView::new(Dtype::F32, vec![3, 2], &data).unwrap();
    let file = serialize([("anything", view)], None).unwrap();
    let matrix = import_safetensors(&file).unwrap();
    assert_eq!((matrix.layers(), matrix.layer(1)), (2, Some([3.0, 4.0].as_slice())));
    assert!(import_safetensors(b"no").is_err());
}

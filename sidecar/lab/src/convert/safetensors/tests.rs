use super::super::choice::{Directions, Wanted, choose};
use super::*;
use ::safetensors::serialize;
use ::safetensors::tensor::TensorView;
use personaguard_persona::f32_tensors::to_bytes;

pub(in crate::convert) fn file(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (*name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    serialize(views, None).unwrap()
}

fn chosen(file: &[u8]) -> Result<Directions, String> {
    let wanted = Wanted { tensor: None, trait_name: "evil", hidden: 2 };
    let found = safetensors(file).map_err(|error| error.to_string())?;
    Ok(choose(found, wanted)?.directions)
}

#[test]
fn a_plain_safetensors_matrix_is_imported() {
    let data = to_bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let file = file(&[("anything", Dtype::F32, vec![3, 2], data)]);
    let expected = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].map(Vec::from).to_vec();
    assert_eq!(chosen(&file), Ok(Directions::Rows(expected)));
    assert!(chosen(b"no").is_err());
}

#[test]
fn item_19_half_precisions_and_a_tensor_a_layer_are_read() {
    let row = |bits: [u16; 2]| bits.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let rows = || [(1, vec![1.0, 2.0]), (2, vec![1.0, 2.0])].into_iter().collect();
    for (dtype, data) in [
        (Dtype::F16, row([0x3c00, 0x4000])),
        (Dtype::BF16, row([0x3f80, 0x4000])),
        (Dtype::F32, to_bytes(&[1.0, 2.0])),
    ] {
        for [one, two] in [
            ["layer_1", "layer_2"],
            ["model.layers.1", "model.layers.2"],
            ["1", "2"],
            ["vector.layer1.weight", "vector.layer2.weight"],
        ] {
            let file = file(&[
                (one, dtype, vec![2], data.clone()),
                (two, dtype, vec![1, 2], data.clone()),
                ("steps", Dtype::I64, vec![1], vec![0; 8]),
            ]);
            assert_eq!(chosen(&file), Ok(Directions::Numbered(rows())), "{one} {dtype}");
        }
    }
    let file = file(&[("direction.1", Dtype::F32, vec![2], to_bytes(&[1.0, 2.0]))]);
    let expected = [(2, vec![1.0, 2.0])].into_iter().collect();
    assert_eq!(chosen(&file), Ok(Directions::ByLayer(expected)));
}

//! The experts of gpt-oss as its folders hold them: all of a block in one tensor, gate and up in
//! turn; floating-point numbers column after column, MXFP4 as codes and scales.

use super::hf::Dtype;
use super::{Tiny, mxfp4};

/// A tensor's name, and its type, shape and bytes.
type Named = (String, (&'static str, Vec<usize>, Vec<u8>));

/// The rows of a matrix.
type Rows<'a> = Vec<&'a [f32]>;

/// All tensors of experts.
pub fn experts(tiny: &Tiny, dtype: Dtype) -> Vec<Named> {
    (0..tiny.shape.layers).flat_map(|layer| of_block(tiny, layer, dtype)).collect()
}

fn of_block(tiny: &Tiny, layer: usize, dtype: Dtype) -> Vec<Named> {
    let [count, _] = tiny.shape.experts.unwrap();
    let (hidden, inner) = (tiny.shape.hidden, tiny.shape.feed_forward);
    let part = |part: &str, expert: usize, kind: &str| {
        &tiny.tensors[&format!("blk.{layer}.{part}.{expert}.{kind}")]
    };
    // Rows of one expert.
    let gate_and_up = |expert: usize| -> Rows<'_> {
        let gate = part("ffn_gate", expert, "weight").chunks(hidden);
        gate.zip(part("ffn_up", expert, "weight").chunks(hidden))
            .flat_map(|(gate, up)| [gate, up])
            .collect()
    };
    let down = |expert: usize| part("ffn_down", expert, "weight").chunks(inner).collect();
    let biases = |expert: usize| {
        let gate = part("ffn_gate", expert, "bias").iter();
        gate.zip(part("ffn_up", expert, "bias")).flat_map(|(gate, up)| [*gate, *up])
    };
    let floats = |values: &mut dyn Iterator<Item = f32>| -> Vec<u8> {
        values.flat_map(|value| dtype.store(value).0).collect()
    };
    let name = |end: &str| format!("model.layers.{layer}.mlp.experts.{end}");
    let mut all = vec![
        (
            name("gate_up_proj_bias"),
            (dtype.name(), vec![count, 2 * inner], floats(&mut (0..count).flat_map(biases))),
        ),
        (
            name("down_proj_bias"),
            (
                dtype.name(),
                vec![count, hidden],
                floats(&mut (0..count).flat_map(|e| part("ffn_down", e, "bias").iter().copied())),
            ),
        ),
    ];
    let matrices: [(&str, usize, usize, Vec<Rows<'_>>); 2] = [
        ("gate_up_proj", 2 * inner, hidden, (0..count).map(gate_and_up).collect()),
        ("down_proj", hidden, inner, (0..count).map(down).collect()),
    ];
    for (part, rows, columns, experts) in matrices {
        if tiny.shape.mxfp4 {
            let values: Vec<f32> = experts.concat().concat();
            let (scales, codes): (Vec<u8>, Vec<[u8; 32]>) =
                mxfp4::encoded(&values).into_iter().unzip();
            let pairs =
                |codes: [u8; 32]| (0..16).map(move |at| codes[2 * at] | codes[2 * at + 1] << 4);
            let blocks = codes.into_iter().flat_map(pairs).collect();
            let shape = vec![count, rows, columns / 32];
            all.push((name(&format!("{part}_scales")), ("U8", shape.clone(), scales)));
            let shape = [shape, vec![16]].concat();
            all.push((name(&format!("{part}_blocks")), ("U8", shape, blocks)));
            continue;
        }
        let by_column = experts.iter().flat_map(|rows| {
            (0..columns).flat_map(move |column| rows.iter().map(move |row| row[column]))
        });
        let bytes = by_column.flat_map(|value| dtype.store(value).0).collect();
        all.push((name(part), (dtype.name(), vec![count, columns, rows], bytes)));
    }
    all
}

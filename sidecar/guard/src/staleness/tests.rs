use super::*;

fn made_on() -> MadeOn {
    MadeOn {
        engine: "vllm".to_owned(),
        version: "0.32.0".to_owned(),
        plugin: "0.1.0".to_owned(),
        dtype: "bfloat16".to_owned(),
        quantization: None,
        adapter: None,
    }
}

fn vllm() -> Serving {
    Serving::Vllm {
        version: "0.32.1+cpu".to_owned(),
        plugin: "0.1.3".to_owned(),
        dtype: Some("bfloat16".to_owned()),
        quantization: None,
        lora: Some(false),
    }
}

/// Made as this says, and served as this does.
fn difference(
    change: impl FnOnce(&mut MadeOn),
    (dtype, quantization, lora): (&str, Option<&str>, Option<bool>),
) -> Option<String> {
    let mut made = made_on();
    change(&mut made);
    let serving = Serving::Vllm {
        version: "0.32.1+cpu".to_owned(),
        plugin: "0.1.3".to_owned(),
        dtype: Some(dtype.to_owned()),
        quantization: quantization.map(str::to_owned),
        lora,
    };
    serving.difference(Some(&made))
}

#[test]
fn a_vector_made_as_the_model_is_served_is_not_stale() {
    assert_eq!(vllm().difference(Some(&made_on())), None, "patch releases apart");
    assert_eq!(Serving::Own.difference(None), None);
    assert_eq!(vllm().difference(None), None, "single precision, rounded");
    assert_eq!(Serving::Own.difference(Some(&made_on())), None);
    // The digest of the file binds this quantisation.
    let served = |quantization| ("bfloat16", quantization, None);
    let gguf = |made: &mut MadeOn| made.quantization = Some("gguf".to_owned());
    assert_eq!(difference(gguf, served(Some("gguf"))), None);
    let with_adapter = |made: &mut MadeOn| made.adapter = Some("villain".to_owned());
    assert_eq!(difference(with_adapter, ("bfloat16", None, Some(true))), None);
    assert_eq!(difference(with_adapter, ("bfloat16", None, None)), None, "an older plugin");
}

#[test]
fn a_vector_made_otherwise_is_stale_and_the_clause_has_both() {
    assert_eq!(
        difference(|_| {}, ("float16", Some("fp8"), Some(false))).as_deref(),
        Some(
            "made with dtype bfloat16, quantization none; served with dtype float16, quantization \
             fp8"
        )
    );
    let with_adapter = |made: &mut MadeOn| made.adapter = Some("villain".to_owned());
    assert_eq!(
        difference(with_adapter, ("bfloat16", None, Some(false))).as_deref(),
        Some("made with adapter villain; served with adapter none")
    );
    let older = |made: &mut MadeOn| {
        (made.version, made.plugin) = ("0.31.9".to_owned(), "1.1".to_owned());
    };
    assert_eq!(
        difference(older, ("bfloat16", None, None)).as_deref(),
        Some("made with vLLM 0.31, plugin 1.1; served with vLLM 0.32, plugin 0.1")
    );
    // Without the file's word it was made by our own engine, which quantises nothing.
    let quantised = Serving::Vllm {
        version: "0.32.0".to_owned(),
        plugin: "0.1.0".to_owned(),
        dtype: None,
        quantization: Some("fp8".to_owned()),
        lora: None,
    };
    assert!(quantised.difference(None).is_some());
    let quantised = MadeOn { quantization: Some("fp8".to_owned()), ..made_on() };
    assert!(Serving::Own.difference(Some(&quantised)).is_some());
    let adapted = MadeOn { adapter: Some("villain".to_owned()), ..made_on() };
    assert!(Serving::Own.difference(Some(&adapted)).is_some());
}

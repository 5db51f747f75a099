use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn exp_is_close(x in -87.0_f32..88.0) {
        let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
        let error = (found / expected - 1.0).abs();
        prop_assert!(error < 4e-7, "exp({}) = {} for {}", x, found, expected);
    }

    #[test]
    fn sums_are_close(values in prop::collection::vec((-10.0_f32..10.0, -10.0_f32..10.0), 1..100)) {
        let (a, b): (Vec<_>, Vec<_>) = values.iter().copied().unzip();
        let exact: f64 = values.iter().map(|&(a, b)| f64::from(a) * f64::from(b)).sum();
        prop_assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-3);
        let top = max(&a);
        prop_assert_eq!(top, a.iter().copied().fold(f32::MIN, f32::max));
        let exact = a.iter().map(|&a| f64::from(a).exp()).sum::<f64>().ln();
        prop_assert!((f64::from(log_sum_exp(&a, top)) - exact).abs() < 1e-4);
    }

    #[test]
    fn soft_caps_are_close(x in -300.0_f32..300.0, cap in 0.5_f32..100.0) {
        let mut found = [x];
        soft_cap(&mut found, cap);
        let (wide, cap) = (f64::from(x), f64::from(cap));
        prop_assert!((f64::from(found[0]) - cap * (wide / cap).tanh()).abs() < 1e-6 * cap);
    }

    #[test]
    fn gates_are_close(x in -20.0_f32..20.0, up in -12.0_f32..12.0) {
        let (wide, wide_up) = (f64::from(x), f64::from(up));
        let silu = wide / (1.0 + (-wide).exp()) * wide_up;
        let inner = 0.797_884_560_8 * (wide + 0.044_715 * wide.powi(3));
        let gelu = 0.5 * wide * (1.0 + inner.tanh()) * wide_up;
        let bounded = wide.min(7.0);
        let clamped = bounded / (1.0 + (-1.702 * bounded).exp()) * (wide_up.clamp(-7.0, 7.0) + 1.0);
        for (kind, expected) in [
            (ActivationFn::Silu, silu),
            (ActivationFn::GeluTanh, gelu),
            (ActivationFn::ClampedSwiglu, clamped),
        ] {
            let mut gate = [x];
            gated(kind, &mut gate, &[up]);
            prop_assert!((f64::from(gate[0]) - expected).abs() < 1e-5 * (1.0 + expected.abs()));
        }
    }
}

#[test]
fn gates_keep_what_is_no_number() {
    for kind in [ActivationFn::Silu, ActivationFn::GeluTanh, ActivationFn::ClampedSwiglu] {
        for (gate, up) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
            let mut gates = [gate];
            gated(kind, &mut gates, &[up]);
            assert!(gates[0].is_nan(), "{kind:?} {gate} {up}");
        }
    }
}

#[test]
fn soft_caps_keep_what_is_no_number() {
    let mut values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
    soft_cap(&mut values, 30.0);
    assert!(values[0].is_nan());
    assert_eq!(values[1..], [30.0, -30.0, 0.0]);
}

#[test]
fn masked_scores_weigh_nothing() {
    let mut scores = [f32::NEG_INFINITY, 0.0, -200.0];
    assert_eq!(exp_sum(&mut scores, 0.0), 1.0);
    assert_eq!(scores, [0.0, 1.0, 0.0]);
}

#[test]
fn norms_divide_by_the_root_mean_square() {
    let mut out = [0.0; 2];
    rms_norm(&[3.0, 4.0], &[1.0, 2.0], 0.0, &mut out);
    let root = 12.5_f32.sqrt();
    assert!((out[0] - 3.0 / root).abs() < 1e-6 && (out[1] - 8.0 / root).abs() < 1e-6);
}

use super::*;

fn report(mean: f64, sigmas: f64, limit: f64) -> VerifyReport {
    let shift = FinetuningShift { mean, error: 0.1, sigmas };
    let traits = vec![TraitShift { name: "evil".into(), layer: 3, shift }];
    VerifyReport { traits, limit, prompts: 2 }
}

#[test]
fn number_9_only_a_number_below_the_limit_passes() {
    for (mean, sigmas, limit, passes) in [
        (0.5, 0.5, 1.0, true),
        (-9.0, -9.0, 1.0, true),
        (1.5, 1.5, 1.0, false),
        (f64::NAN, f64::NAN, 1.0, false),
        (f64::NAN, 0.0, 1.0, false),
        (0.0, f64::NAN, 1.0, false),
        (f64::INFINITY, 0.0, 1.0, false),
        (1.0, f64::INFINITY, 1.0, false),
        (0.0, 0.0, f64::NAN, false),
    ] {
        let report = report(mean, sigmas, limit);
        assert_eq!(report.exceeded().is_empty(), passes, "{mean} {sigmas} {limit}");
        assert_eq!(report.to_string().contains("PAST"), !passes, "{report}");
    }
}

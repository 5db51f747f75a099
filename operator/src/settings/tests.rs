use super::*;
use clap::CommandFactory;

fn parse(line: &[&str]) -> Command {
    Arguments::from_line(
        std::iter::once("personaguard-operator").chain(line.iter().copied()).map(OsString::from),
    )
    .unwrap()
    .command
}

#[test]
fn the_command_line_parses_with_and_without_a_command() {
    Arguments::command().debug_assert();
    let Command::Run(settings) = parse(&["--sidecar-image=a"]) else { panic!("not run") };
    assert_eq!(settings.report_host(), "personaguard-reports.personaguard-system.svc");
    let Command::Run(settings) =
        parse(&["run", "--sidecar-image=a", "--sidecar-image-pull-policy=Never"])
    else {
        panic!("not run")
    };
    assert_eq!(settings.sidecar_image_pull_policy, PullPolicy::Never);
    assert!(matches!(parse(&["check"]), Command::Check(_)));
}

#[test]
fn resources_of_sidecars_are_json() {
    let line = r#"--sidecar-resources={"requests": {"cpu": "50m"}}"#;
    let Command::Run(settings) = parse(&["--sidecar-image=a", line]) else { panic!("not run") };
    assert_eq!(settings.sidecar_resources.unwrap().requests["cpu"].0, "50m");
    let line = ["personaguard-operator", "--sidecar-image=a", "--sidecar-resources=50m"];
    assert!(Arguments::from_line(line.map(OsString::from)).is_err());
}

#[test]
fn item_19_ids_are_a_number_or_the_platforms_and_labels_have_names() {
    let run = |options: &[&str]| {
        let line = ["personaguard-operator", "--sidecar-image=a"].iter().chain(options);
        Arguments::from_line(line.map(OsString::from))
    };
    let settings = |options: &[&str]| match run(options).unwrap().command {
        Command::Run(settings) => settings,
        Command::Check(_) | Command::Uninstall(_) => panic!("not run"),
    };
    assert_eq!(settings(&[]).run_as_user, RunAsUser(Some(65532)));
    assert_eq!(settings(&["--run-as-user=1000680000"]).run_as_user, RunAsUser(Some(1_000_680_000)));
    assert_eq!(settings(&["--run-as-user=platform"]).run_as_user, RunAsUser(None));
    let labels = settings(&["--alert-label=cluster=a=b", "--alert-label=site=x"]).alert_labels;
    assert_eq!(labels, [("cluster", "a=b".to_owned()), ("site", "x".to_owned())]);
    let otel = settings(&["--sidecar-otel=OTEL_TRACES_SAMPLER=always_off"]);
    assert_eq!(otel.sidecar_otel().collect::<Vec<_>>(), [("OTEL_TRACES_SAMPLER", "always_off")]);
    for wrong in ["--run-as-user=0", "--run-as-user=root", "--alert-label=a-b=c", "--alert-label=a"]
    {
        assert!(run(&[wrong]).is_err(), "{wrong}");
    }
}

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

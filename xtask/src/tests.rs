use super::*;

#[test]
fn the_generated_crds_are_current() {
    crdgen::run(true).expect("current");
}

#[test]
fn the_arguments_are_consistent() {
    use clap::CommandFactory;
    Arguments::command().debug_assert();
}

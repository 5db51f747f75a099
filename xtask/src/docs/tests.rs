use super::*;

#[test]
fn the_generated_pages_are_current() {
    generate(true).unwrap();
}

#[test]
fn every_link_leads_somewhere() {
    check_links().unwrap();
}

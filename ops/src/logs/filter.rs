//! Which events are logged, from `RUST_LOG`.

#[cfg(test)]
mod tests;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

const DEFAULT: &str = "info";

/// The filter, and what is wrong with the levels if something is. A process that says nothing is
/// worse than one that says too much, so that what is not understood leaves the default.
pub(super) fn read(levels: Option<&str>) -> (EnvFilter, Option<String>) {
    let Some(levels) = levels.map(str::trim).filter(|levels| !levels.is_empty()) else {
        return (EnvFilter::new(DEFAULT), None);
    };
    let parse = |levels: &str| EnvFilter::builder().parse(levels);
    let directives = || levels.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    let has_level = directives().any(is_level);
    let target = directives().find(|directive| is_target(directive)).filter(|_| !has_level);
    match target {
        Some(target) => parse(&format!("{DEFAULT},{levels}")).map(|filter| {
            let complaint = format!(
                "RUST_LOG: `{target}` is none of error, warn, info, debug, trace and off, so it is \
                 taken for a part of the program; everything else is logged at {DEFAULT}"
            );
            (filter, Some(complaint))
        }),
        None => parse(levels).map(|filter| (filter, None)),
    }
    .unwrap_or_else(|error| {
        let complaint =
            format!("RUST_LOG is not understood ({error}), so the level is {DEFAULT}: {levels}");
        (EnvFilter::new(DEFAULT), Some(complaint))
    })
}

fn is_level(directive: &str) -> bool {
    directive.parse::<LevelFilter>().is_ok()
}

/// Whether a directive is a lone word, which names a part of the program at its finest level. A
/// level that is misspelt is one, too, and would silence everything else.
fn is_target(directive: &str) -> bool {
    !directive.contains(['=', '[', ':']) && !is_level(directive)
}

//! Reads an exposition as the strictest parsers of OpenMetrics 1.0 do, which refuse the whole
//! scrape for one fault in it. For tests.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

/// One sample: its name, its labels in the order of their names, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name, with its suffix.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    has_help: bool,
    samples: Vec<Sample>,
}

/// All samples of an exposition.
///
/// # Errors
/// The first fault, with its line or family.
pub fn parse(text: &str) -> Result<Vec<Sample>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
    let mut families: Vec<Family> = Vec::new();
    for line in body.lines() {
        let told = |what: &str| format!("{what}: {line}");
        if let Some(header) = line.strip_prefix("# ") {
            let mut parts = header.splitn(3, ' ');
            let (keyword, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let rest = parts.next().ok_or_else(|| told("a header without a value"))?;
            if families.last().is_none_or(|family| family.name != name) {
                families.push(Family { name: name.to_owned(), ..Family::default() });
            }
            let family = families.last_mut().ok_or_else(|| told("no family"))?;
            match keyword {
                _ if !family.samples.is_empty() => return Err(told("a header after samples")),
                "HELP" if !family.has_help && !rest.is_empty() => family.has_help = true,
                "TYPE" if family.kind.is_empty() => rest.clone_into(&mut family.kind),
                _ => return Err(told("no header, or one again")),
            }
        } else {
            let sample = sample(line).ok_or_else(|| told("no sample"))?;
            let family = families.last_mut().ok_or_else(|| told("a sample of no family"))?;
            family.samples.push(sample);
        }
    }
    let mut names = BTreeSet::new();
    for family in &families {
        check(family).map_err(|fault| format!("{}: {fault}", family.name))?;
        if suffixes(&family.kind)
            .ok_or_else(|| format!("{}: no known type", family.name))?
            .iter()
            .any(|suffix| !names.insert(format!("{}{suffix}", family.name)))
        {
            return Err(format!("{}: another family has its names", family.name));
        }
    }
    Ok(families.into_iter().flat_map(|family| family.samples).collect())
}

/// The suffixes of a type's samples.
fn suffixes(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "counter" => Some(&["_total", "_created"]),
        "gauge" => Some(&[""]),
        "histogram" => Some(&["_bucket", "_count", "_sum", "_created"]),
        _ => None,
    }
}

/// Names and values.
type Labels<'a> = Vec<(&'a str, &'a str)>;

fn check(family: &Family) -> Result<(), String> {
    if !family.has_help {
        return Err("no help".to_owned());
    }
    if family.kind == "counter" && family.name.ends_with("_total") {
        return Err("a counter's family has no _total".to_owned());
    }
    let mut seen = BTreeSet::new();
    let mut groups: BTreeMap<Labels<'_>, Vec<(&str, &Sample)>> = BTreeMap::new();
    for sample in &family.samples {
        let suffix = sample
            .name
            .strip_prefix(&family.name)
            .filter(|suffix| suffixes(&family.kind).is_some_and(|known| known.contains(suffix)))
            .ok_or_else(|| format!("{} is not one of its samples", sample.name))?;
        if !seen.insert((&sample.name, &sample.labels)) {
            return Err(format!("twice: {sample:?}"));
        }
        // An infinite value is one that counters do not have, and NaN none at all.
        if family.kind == "counter" && !(sample.value.is_finite() && sample.value >= 0.0) {
            return Err(format!("a counter's value: {sample:?}"));
        }
        let labels = sample.labels.iter().filter(|(label, _)| *label != "le");
        let group: Labels<'_> =
            labels.map(|(label, value)| (label.as_str(), value.as_str())).collect();
        groups.entry(group).or_default().push((suffix, sample));
    }
    if family.kind == "histogram" {
        groups.values().try_for_each(|group| histogram(group))?;
    }
    Ok(())
}

fn histogram(samples: &[(&str, &Sample)]) -> Result<(), String> {
    let value = |wanted: &str| {
        samples.iter().find(|(suffix, _)| *suffix == wanted).map(|(_, sample)| sample.value)
    };
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for (_, sample) in samples.iter().filter(|(suffix, _)| *suffix == "_bucket") {
        let le = sample.labels.get("le").and_then(|le| le.parse().ok()).ok_or("no le")?;
        if buckets.last().is_some_and(|(bound, count)| le <= *bound || sample.value < *count) {
            return Err(format!("buckets out of order: {sample:?}"));
        }
        buckets.push((le, sample.value));
    }
    let (bound, all) = buckets.last().ok_or("no buckets")?;
    match (value("_sum"), value("_count")) {
        _ if *bound != f64::INFINITY => Err("no bucket +Inf".to_owned()),
        (Some(_), _) if buckets[0].0 < 0.0 => Err("a sum, and buckets below 0".to_owned()),
        (Some(sum), _) if sum < 0.0 => Err("a sum below 0".to_owned()),
        (Some(_), Some(count)) if count == *all => Ok(()),
        (None, None) => Ok(()),
        other => Err(format!("sum and count are {other:?}, and the last bucket {all}")),
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inner.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let named = !label.is_empty() && label.chars().all(word);
            (named && labels.insert(label.to_owned(), value).is_none()).then_some(())?;
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            inner = after.strip_prefix(',')?;
        }
    }
    // Without a timestamp and an exemplar: ours have none.
    let value = rest.strip_prefix(' ')?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// A label's value, up to its quotation mark, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('"' | '\\') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

//! What a Markdown page links to, and what can be linked to in it.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};

/// A page's links, its code spans, and the anchors of its headings. A code span in the first column
/// of a table under a line "In `FOLDER/`" is a path in that folder, and is given as such.
pub(super) struct Page {
    pub(super) links: Vec<String>,
    pub(super) code: Vec<String>,
    pub(super) anchors: BTreeSet<String>,
}

impl Page {
    pub(super) fn read(text: &str) -> Self {
        let mut page = Self { links: Vec::new(), code: Vec::new(), anchors: BTreeSet::new() };
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut heading: Option<String> = None;
        // The folder that the paragraph before a table names, and the cell that is being read.
        let mut folder: Option<String> = None;
        let (mut strong, mut first_column) = (false, false);
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => {
                    (heading, folder) = (Some(String::new()), None);
                }
                Event::Start(Tag::Strong) => (strong, folder) = (true, None),
                Event::End(TagEnd::Strong) => strong = false,
                Event::Start(Tag::TableRow) => first_column = true,
                Event::End(TagEnd::TableCell) => first_column = false,
                Event::End(TagEnd::Table) => folder = None,
                Event::Text(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
                Event::Code(text) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&text));
                    let inside = folder.as_ref().filter(|_| first_column);
                    page.code.push(match inside {
                        Some(folder) => format!("{folder}{text}"),
                        None => text.to_string(),
                    });
                    if strong && text.ends_with('/') {
                        folder = Some(text.into_string());
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let times = seen.entry(anchor.clone()).or_default();
                    let unique = if *times == 0 { anchor } else { format!("{anchor}-{times}") };
                    *times += 1;
                    page.anchors.insert(unique);
                }
                _ => {}
            }
        }
        page
    }
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

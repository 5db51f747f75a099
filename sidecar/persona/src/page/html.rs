//! The frame of a page, and the one place where text becomes HTML.

const STYLE: &str = "\
:root{--ink:#1c2024;--soft:#5f6b76;--line:#d9dee3;--paper:#fff;--pos:#c2410c;--neg:#1d4ed8;--band:#eef1f4}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b1;--line:#363d44;--paper:#14171a;--pos:#fb923c;--neg:#7aa2ff;--band:#20262c}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:960px;margin:0 auto;padding:24px}
h1{font-size:1.7em;margin:.2em 0}h2{font-size:1.2em;margin:2em 0 .4em;border-bottom:1px solid var(--line);padding-bottom:.2em}
p{max-width:70ch}.soft{color:var(--soft)}.good{color:#15803d}.bad{color:var(--pos)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5em 0;display:block;overflow-x:auto}
td,th{padding:.2em .7em;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}td.text,th.text{text-align:left}
tr.chosen td{background:var(--band);font-weight:600}
svg{width:100%;height:auto;font-size:12px}svg text{fill:var(--soft)}svg .axis{stroke:var(--line)}
.token{padding:.1em 0;border-radius:2px;white-space:pre-wrap}.answer{line-height:1.9;background:var(--band);padding:.8em;border-radius:6px}
code{font-size:.9em;overflow-wrap:anywhere}";

/// Text as HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A page of a title (text) and a body (HTML).
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n{body}</body></html>\n",
        title = escape(title)
    )
}

/// A table of cells that are HTML already; the first column is text, and so are those that hold
/// other than numbers. `chosen` marks a row.
pub(super) fn table(header: &[&str], rows: &[Vec<String>], chosen: Option<usize>) -> String {
    let number = |cell: &String| {
        cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || "+-−–".contains(c))
    };
    let text =
        |column: usize| column == 0 || !rows.iter().filter_map(|row| row.get(column)).all(number);
    let class = |column: usize| if text(column) { " class=\"text\"" } else { "" };
    let row = |tag: &str, cells: &[String]| -> String {
        cells
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("<{tag}{}>{cell}</{tag}>", class(column)))
            .collect()
    };
    let header: Vec<String> = header.iter().map(|cell| escape(cell)).collect();
    let body: String = rows
        .iter()
        .enumerate()
        .map(|(index, cells)| {
            let mark = if chosen == Some(index) { " class=\"chosen\"" } else { "" };
            format!("<tr{mark}>{}</tr>\n", row("td", cells))
        })
        .collect();
    format!(
        "<table><thead><tr>{}</tr></thead><tbody>\n{body}</tbody></table>\n",
        row("th", &header)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_text_to_the_left() {
        let rows = [["−2.0", "1.5", "Yes."], ["0.0", "−3", "2 of them."]]
            .map(|row| row.map(str::to_owned).to_vec());
        let table = table(&["Coefficient", "Score", "Answer"], &rows, None);
        assert!(table.contains("<th>Score</th><th class=\"text\">Answer</th>"), "{table}");
        assert!(table.contains("<td>−3</td><td class=\"text\">2 of them.</td>"), "{table}");
    }
}

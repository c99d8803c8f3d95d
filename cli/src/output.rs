//! What is printed: tables, facts, and the API's own answers.
//!
//! Names are chosen by other people and may come from a server that means harm.  Therefore nothing that
//! came over the network reaches a terminal before [`plain`] has escaped what could steer it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use unicode_width::UnicodeWidthStr;

/// Between two columns.
const GAP: usize = 2;

/// The text with everything escaped that is no visible part of it: control characters, which steer
/// terminals, and marks that turn the direction of text or take no room, which make one name look like
/// another.  The joiners of emoji and of some scripts stay.
pub fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            let _ = write!(escaped, "\\u{{{:x}}}", c as u32);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A table whose columns are as wide as a terminal shows them: a Chinese character takes two places.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|word| (*word).to_owned()).collect()] }
    }

    /// Adds a row; its cells may hold anything.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| plain(cell)).collect());
    }

    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max())
            .map(Option::unwrap_or_default)
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - cell.width() + GAP));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Names and values of one thing, one to a line; what has no value is left out.
pub struct Facts {
    table: Table,
}

impl Facts {
    pub fn new() -> Self {
        Self { table: Table { rows: Vec::new() } }
    }

    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.table.row(vec![name.to_owned(), value]);
        }
    }

    pub fn render(&self) -> String {
        self.table.render()
    }
}

/// Prints to standard output.  A reader that has seen enough (`jst ls | head`) is no failure.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A line for people beside the result: to standard error.
pub fn note(text: &str) {
    let mut error = std::io::stderr().lock();
    let _ = writeln!(error, "{text}");
}

/// Prints an answer of the API as it came.  Nothing, where it had no body.
pub fn print_json(text: &str) {
    let text = text.trim_end();
    if text.is_empty() {
        return;
    }
    if std::io::stdout().is_terminal() {
        print(&format!("{}\n", harmless_json(text)));
    } else {
        print(&format!("{text}\n"));
    }
}

/// The same document, with what could steer a terminal written as JSON writes it.  JSON escapes control
/// characters itself, but not the second block of them (U+0080 to U+009F), nor marks of direction.
fn harmless_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && !matches!(c, '\n' | '\r' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A time of the API as people here read it: their own clock, to the minute.
pub fn time(rfc3339: &str) -> String {
    match rfc3339.parse::<jiff::Timestamp>() {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        // Not a time; it is shown as it came.
        Err(_) => rfc3339.to_owned(),
    }
}

/// `512 MiB`, `1.5 GiB`, `2 TiB`.
pub fn mib(amount: u64) -> String {
    const UNITS: [&str; 3] = ["MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (amount as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = format!("{value:.1}");
    format!("{} {}", text.trim_end_matches(".0"), UNITS[unit])
}

/// Minor units with two digits: `¥12.00`.
pub fn money(sign: &str, minor: i64) -> String {
    let minus = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    format!("{minus}{sign}{}.{:02}", minor / 100, minor % 100)
}

/// A line of blocks, one a group of values, each as high as the highest of its group.  Where nothing is
/// known there is a gap.
pub fn spark(values: &[Option<f64>], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let top = values.iter().flatten().copied().fold(0.0, f64::max);
    let group = values.len().div_ceil(width.max(1)).max(1);
    values
        .chunks(group)
        .map(|group| match group.iter().flatten().copied().reduce(f64::max) {
            None => ' ',
            Some(_) if top <= 0.0 => BLOCKS[0],
            Some(value) => BLOCKS[((value / top * 7.0).round().clamp(0.0, 7.0)) as usize],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_as_a_terminal_shows_them() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(vec!["网站".into(), "运行中".into()]);
        table.row(vec!["web-1".into(), "running".into()]);
        assert_eq!(table.render(), "NAME   STATE\n网站   运行中\nweb-1  running\n");
    }

    #[test]
    fn a_hostile_name_is_shown_and_not_obeyed() {
        let mut table = Table::new(&["NAME"]);
        for name in ["\u{1b}]0;owned\u{7}", "a\nb", "\u{9b}2J", "gnp.\u{202e}exe", "we\u{200b}b"] {
            table.row(vec![name.to_owned()]);
        }
        let shown = table.render();
        assert!(!shown.contains(|c: char| is_hidden(c) && c != '\n'), "{shown:?}");
        assert_eq!(shown.lines().count(), 6, "a name has one line: {shown:?}");
        assert!(shown.contains("\\u{1b}]0;owned\\u{7}"), "{shown}");
        // What belongs to a name stays.
        assert_eq!(plain("👩\u{200d}💻 größe 数据库"), "👩\u{200d}💻 größe 数据库");
    }

    #[test]
    fn json_on_a_terminal_is_the_same_document() {
        let text = "{\"name\":\"a\u{9b}2Jb\u{202e}\u{e0041}\"}";
        let shown = harmless_json(text);
        assert!(shown.is_ascii(), "{shown}");
        let document = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(document(&shown), document(text));
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [mib(512), mib(1536), mib(20480), mib(3 << 20)],
            ["512 MiB", "1.5 GiB", "20 GiB", "3 TiB"]
        );
        assert_eq!([money("¥", 3500), money("$", -5)], ["¥35.00", "-$0.05"]);
        assert_eq!(spark(&[Some(0.0), None, Some(4.0), Some(8.0)], 4), "▁ ▅█");
        assert_eq!(spark(&[Some(0.0), Some(0.0)], 4), "▁▁");
        assert_eq!(spark(&[], 4), "");
        assert_eq!(time("not a time"), "not a time");
    }

    #[test]
    fn facts_without_a_value_are_left_out() {
        let mut facts = Facts::new();
        facts.add("STATE", "running");
        facts.add("DRIFT", "");
        assert_eq!(facts.render(), "STATE  running\n");
    }
}

//! Rust source as these tests read it: code without comments and strings, strings without code, paths of modules.
//!
//! Owns: reading the tree and taking source apart. Must not: judge. It is no parser: it knows comments, strings,
//! characters, braces and `use`, which is all that the rules ask about.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The text files of the package, by path from its root.
pub(crate) struct Tree {
    texts: Vec<(String, String)>,
    sources: Vec<Source>,
}

/// One Rust file.
pub(crate) struct Source {
    /// From the package's root.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Its module: `["provider", "carddav"]`.
    pub(crate) module: Vec<String>,
    /// String literals outside tests, with the line on which each starts.
    pub(crate) strings: Vec<(usize, String)>,
    /// Code only; comments, strings and `#[cfg(test)]` items are blanks. Lines stay where they are.
    code: String,
    /// The same with the tests.
    all_code: String,
}

/// Folders that hold no source of ours.
const SKIPPED: &[&str] = &["target", ".git", ".venv", ".work"];

impl Tree {
    /// All of it.
    pub(crate) fn of_this_package() -> Self {
        // Asked for when run, so that a copy of this test can look at another tree.
        let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
        let mut texts = Vec::new();
        walk(&root, &root, &mut texts);
        texts.sort();
        let is_ours = |path: &str| {
            path.ends_with(".rs") && ["src/", "tests/", "mock-providers/"].iter().any(|d| path.starts_with(d))
        };
        let sources: Vec<_> =
            texts.iter().filter(|(path, _)| is_ours(path)).map(|(path, text)| Source::new(path, text)).collect();
        assert!(sources.len() > 20, "there is more source than that in {}", root.display());
        Self { texts, sources }
    }

    /// The Rust files below that folder.
    pub(crate) fn sources(&self, below: &str) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(move |source| source.path.starts_with(below))
    }

    /// Every text file: its path and content.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &(String, String)> {
        self.texts.iter()
    }
}

fn walk(root: &Path, folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                walk(root, &path, texts);
            }
        } else if name != ".git"
            && let Ok(text) = fs::read_to_string(&path)
        {
            let below = path.strip_prefix(root).expect("it was found there").to_string_lossy().into_owned();
            texts.push((below, text));
        }
    }
}

impl Source {
    /// Takes a file apart.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (all_code, all_strings) = split(text);
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/");
        let (code, strings) = if is_test {
            (String::new(), Vec::new())
        } else {
            let (code, tests) = without_tests(&all_code);
            let outside = |line: &usize| !tests.iter().any(|test| test.contains(line));
            (code, all_strings.into_iter().filter(|(line, _)| outside(line)).collect())
        };
        Self { path: path.to_owned(), text: text.to_owned(), module: module_of(path), strings, code, all_code }
    }

    /// Where the code outside tests has that word (or path of words), and what follows it there.
    pub(crate) fn find(&self, word: &str) -> Vec<(usize, String)> {
        find(&self.code, word)
    }

    /// The same, tests included.
    pub(crate) fn find_in_all(&self, word: &str) -> Vec<(usize, String)> {
        find(&self.all_code, word)
    }

    /// Every path into this crate, from its root: `crate::a::{b, c::D}` gives `a::b` and `a::c::D`; `super::` is
    /// resolved by the file's own module.
    pub(crate) fn crate_paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut paths = Vec::new();
        for (line, rest) in find(&self.code, "crate") {
            if let Some(rest) = rest.trim_start().strip_prefix("::") {
                paths.extend(expand(rest, Vec::new()).into_iter().map(|path| (line, path)));
            }
        }
        for (line, rest) in find(&self.code.replace("::super", "::SUPER"), "super") {
            let mut rest = rest.as_str();
            let mut above = self.module.clone();
            above.pop();
            while let Some(more) = rest.trim_start().strip_prefix("::") {
                // The second of two is part of the first one's path.
                if let Some(next) = more.trim_start().strip_prefix("SUPER") {
                    above.pop();
                    rest = next;
                } else {
                    paths.extend(expand(more, above).into_iter().map(|path| (line, path)));
                    break;
                }
            }
        }
        paths
    }
}

/// `src/a/mod.rs` and `src/a.rs` are `a`; `src/a/b.rs` is `a::b`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.strip_prefix("src/").unwrap_or(path);
    let path = path.strip_suffix(".rs").unwrap_or(path);
    path.strip_suffix("/mod").unwrap_or(path).split('/').map(str::to_owned).collect()
}

/// The paths of what follows a `::`, one for each branch of the braces.
fn expand(text: &str, so_far: Vec<String>) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('{') {
        return branches(inside).into_iter().flat_map(|branch| expand(branch, so_far.clone())).collect();
    }
    let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut path = so_far;
    if !name.is_empty() && name != "self" {
        path.push(name.to_owned());
    }
    match rest.trim_start().strip_prefix("::") {
        Some(more) => expand(more, path),
        None => vec![path],
    }
}

/// The parts between commas up to the closing brace.
fn branches(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the text has that word and not a longer one: the line, and what follows.
fn find(text: &str, word: &str) -> Vec<(usize, String)> {
    text.match_indices(word)
        .filter(|(start, _)| {
            let before = text[..*start].chars().next_back();
            let after = text[start + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
        .map(|(start, _)| (line_of(text, start), text[start + word.len()..].chars().take(2000).collect()))
        .collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Code with blanks for comments and strings, and the strings.
fn split(text: &str) -> (String, Vec<(usize, String)>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut strings) = (String::with_capacity(text.len()), Vec::new());
    let (mut at, mut line) = (0, 1);
    let starts = |at: usize, with: &str| with.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c));
    while at < chars.len() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let end = if starts(at, "//") {
            (at..chars.len()).find(|at| chars[*at] == '\n').unwrap_or(chars.len())
        } else if starts(at, "/*") {
            end_of_comment(&chars, at)
        } else if let Some((open, hashes)) = raw_string(&chars, at).filter(|_| !before.is_some_and(is_word)) {
            let close: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let end = (open..chars.len()).find(|at| starts(*at, &close)).unwrap_or(chars.len());
            strings.push((line, chars[open..end].iter().collect()));
            (end + close.len()).min(chars.len())
        } else if chars[at] == '"' {
            let mut end = at + 1;
            while end < chars.len() && chars[end] != '"' {
                end += if chars[end] == '\\' { 2 } else { 1 };
            }
            let end = end.min(chars.len());
            strings.push((line, unescaped(&chars[at + 1..end])));
            (end + 1).min(chars.len())
        } else if chars[at] == '\'' && chars.get(at + 1) == Some(&'\\') {
            (at + 3..chars.len()).find(|at| chars[*at] == '\'').map_or(chars.len(), |end| end + 1)
        } else if chars[at] == '\'' && chars.get(at + 2) == Some(&'\'') {
            at + 3
        } else {
            code.push(chars[at]);
            line += usize::from(chars[at] == '\n');
            at += 1;
            continue;
        };
        for c in &chars[at..end] {
            code.push(if *c == '\n' { '\n' } else { ' ' });
            line += usize::from(*c == '\n');
        }
        at = end;
    }
    (code, strings)
}

/// Block comments nest.
fn end_of_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

/// Where the content of a raw string starts, and how many `#` it has.
fn raw_string(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let mut next = at + usize::from(chars.get(at) == Some(&'b'));
    if chars.get(next) != Some(&'r') {
        return None;
    }
    next += 1;
    let hashes = chars[next..].iter().take_while(|c| **c == '#').count();
    (chars.get(next + hashes) == Some(&'"')).then_some((next + hashes + 1, hashes))
}

/// A string as the program sees it, as far as SQL cares: a backslash at the end of a line joins it with the next.
fn unescaped(chars: &[char]) -> String {
    let (mut text, mut rest) = (String::new(), chars.iter().peekable());
    while let Some(c) = rest.next() {
        if *c != '\\' {
            text.push(*c);
            continue;
        }
        match rest.next() {
            Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some(other) => text.push(*other),
            None => {}
        }
    }
    text
}

/// The code without items under `#[cfg(test)]`, and the lines where those stand.
fn without_tests(code: &str) -> (String, Vec<std::ops::RangeInclusive<usize>>) {
    const MARK: &str = "#[cfg(test)]";
    let (mut code, mut lines) = (code.to_owned(), Vec::new());
    while let Some(start) = code.find(MARK) {
        let mut depth = 0;
        let rest = &code[start + MARK.len()..];
        let end = rest
            .char_indices()
            .find(|(_, c)| {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                depth == 0 && matches!(c, '}' | ';')
            })
            .map_or(code.len(), |(at, c)| start + MARK.len() + at + c.len_utf8());
        lines.push(line_of(&code, start)..=line_of(&code, end));
        let blank: String = code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(start..end, &blank);
    }
    (code, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r####"//! Head with crate::wrong.
use crate::card::{Card, field::{self, Field}};
use crate::ids::PersonId; // crate::comment
/* crate::block /* nested */ crate::still */
fn a<'a>(x: &'a str) -> char { let _ = "crate::string \" sleep(1)"; '"' }
const S: &str = r#"SELECT "x" FROM t"#;
const T: &str = "INSERT INTO t \
    VALUES ($1)";
fn b() { super::clock::now(); crate::sync::plan::go(); let created = '\''; }
#[cfg(test)]
mod tests {
    use crate::store::Store;
    fn t() { sleep(1); let s = "in a test"; }
}
fn c() { crate::crm::x(); }
"####;

    #[test]
    fn paths_strings_and_tests_are_told_apart() {
        let source = Source::new("src/engine/pull.rs", TEXT);
        let paths: Vec<_> = source.crate_paths().into_iter().map(|(line, path)| (line, path.join("::"))).collect();
        let expected = [
            (2, "card::Card"),
            (2, "card::field"),
            (2, "card::field::Field"),
            (3, "ids::PersonId"),
            (9, "sync::plan::go"),
            (15, "crm::x"),
            (9, "engine::clock::now"),
        ];
        assert_eq!(paths, expected.map(|(line, path)| (line, path.to_owned())));
        let strings: Vec<_> = source.strings.iter().map(|(line, text)| (*line, text.as_str())).collect();
        let expected = [(5, "crate::string \" sleep(1)"), (6, "SELECT \"x\" FROM t"), (7, "INSERT INTO t VALUES ($1)")];
        assert_eq!(strings, expected);
        assert!(source.find("sleep").is_empty());
        assert_eq!(source.find_in_all("sleep")[0].0, 13);
    }

    #[test]
    fn super_leads_out_of_the_file() {
        let paths = |path: &str, text: &str| {
            Source::new(path, text).crate_paths().into_iter().map(|(_, path)| path.join("::")).collect::<Vec<_>>()
        };
        assert_eq!(
            paths("src/store/sql.rs", "use super::super::provider::{Write, Outcome};"),
            ["provider::Write", "provider::Outcome"]
        );
        assert_eq!(paths("src/store/mod.rs", "use super::provider::Write;"), ["provider::Write"]);
        assert_eq!(paths("src/store/mod.rs", "pub(crate) fn x() {} pub(super) fn y() {}"), Vec::<String>::new());
    }
}

//! The sources as text.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source of the crate, comments and unit tests blanked out.
pub struct Source {
    /// Below `src/`.
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn layer(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
    }

    /// Every `name` of `crate::name` and `crate::{name, …}`, with its line.
    pub fn crate_names(&self) -> Vec<(usize, &str)> {
        let mut names = Vec::new();
        for (at, start) in self.text.match_indices("crate::") {
            let from = at + start.len();
            let ends: Vec<_> = match self.text[from..].strip_prefix('{') {
                Some(list) => members(list).map(|offset| from + 1 + offset).collect(),
                None => vec![from],
            };
            for begin in ends {
                let name = &self.text[begin..];
                let end = name
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(name.len());
                if end > 0 && name[..end].starts_with(char::is_lowercase) {
                    names.push((line_of(&self.text, begin), &name[..end]));
                }
            }
        }
        names
    }
}

/// Where each member of a `{…}` begins, the first brace left out.
fn members(list: &str) -> impl Iterator<Item = usize> {
    let mut depth = 0;
    let mut begins = true;
    let mut found = Vec::new();
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                begins = false;
                found.push(at);
            }
            _ => {}
        }
    }
    found.into_iter()
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn sources() -> Vec<Source> {
    let base = root().join("src");
    let all = rust_files("src").into_iter().filter_map(|path| {
        let shown = path.strip_prefix(&base).unwrap().display().to_string();
        let is_test = shown.ends_with("tests.rs") || shown.contains("/tests/");
        let text = without_comments(&fs::read_to_string(&path).unwrap());
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        (!is_test).then(|| Source {
            path: shown,
            text: text.to_owned(),
        })
    });
    let all: Vec<_> = all.collect();
    assert!(all.len() > 50, "only {} sources were found", all.len());
    all
}

pub fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The text with `//` comments blanked out; lines keep their numbers.
pub fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| {
        // `://` stands in URLs.
        let comment = line
            .match_indices("//")
            .find(|(at, _)| !line[..*at].ends_with(':'));
        comment.map_or(line, |(at, _)| &line[..at])
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Whether `word` stands in `line`, and not as a part of a longer name.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let starts = word.starts_with(is_name);
        let ends = word.ends_with(is_name);
        let is_part = starts && before.is_some_and(is_name) || ends && after.is_some_and(is_name);
        !is_part
    })
}

pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

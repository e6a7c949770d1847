//! Holds the names of the code: one name for one type, predicates that return bool, errors that end in `Error`.

use crate::support::sources;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Prefixes of functions that return bool and change nothing.
const PREDICATES: [&str; 4] = ["is_", "has_", "may_", "can_"];

/// The code of each file, without tests.
fn product() -> Vec<(PathBuf, String)> {
    let root = sources::root().join("src");
    let is_product = |path: &PathBuf| {
        let below = path.strip_prefix(&root).unwrap();
        !below.iter().any(|part| part == "tests" || part == "tests.rs")
    };
    let files = sources::rust().into_iter().filter(|(path, _)| is_product(path));
    files.map(|(path, text)| (path, sources::without_tests(&sources::code(&text)).to_owned())).collect()
}

/// A line without its visibility.
fn item(line: &str) -> &str {
    let line = line.trim_start();
    match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or(line, |(_, item)| item),
        Some(rest) => rest.trim_start(),
        None => line,
    }
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The type that a line defines, if it does, at any depth but inside an `impl`.
fn defined_type(line: &str) -> Option<&str> {
    let is_associated = line.starts_with("    type ");
    let item = item(line);
    let kinds = ["struct ", "enum ", "trait ", "type "];
    let rest = kinds.iter().find_map(|kind| item.strip_prefix(kind)).filter(|_| !is_associated)?;
    Some(identifier(rest))
}

#[test]
fn one_name_stands_for_one_type() {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (path, text) in product() {
        for name in text.lines().filter_map(defined_type) {
            places.entry(name.to_owned()).or_default().push(path.clone());
        }
    }
    assert!(places.len() > 300, "the types were found: {}", places.len());
    let shared: Vec<_> = places.iter().filter(|(_, places)| places.len() > 1).collect();
    assert!(shared.is_empty(), "types that share their name: {shared:#?}");
}

#[test]
fn predicates_return_bool() {
    let mut seen = 0;
    for (path, text) in product() {
        for (at, _) in text.match_indices("fn ") {
            let name = identifier(&text[at + 3..]);
            if !PREDICATES.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            // A semicolon inside a line is an array's length.
            let signature = text[at..].split('{').next().unwrap_or_default().split(";\n").next().unwrap_or_default();
            seen += 1;
            assert!(signature.contains("-> bool"), "{}: {name} returns no bool", path.display());
        }
    }
    assert!(seen > 50, "the predicates were found: {seen}");
}

#[test]
fn errors_end_in_error() {
    let mut seen = 0;
    for (path, text) in product() {
        let mut is_error = false;
        for line in text.lines() {
            is_error |= line.contains("thiserror::Error") && line.contains("derive(");
            if let Some(name) = defined_type(line) {
                assert!(!is_error || name.ends_with("Error"), "{}: {name}", path.display());
                seen += usize::from(is_error);
                is_error = false;
            }
        }
    }
    assert!(seen > 30, "the errors were found: {seen}");
}

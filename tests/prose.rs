//! Holds the words of comments and documents: an actor is a noun (CONTRIBUTING.md), so indefinite and relative pronouns
//! are rare.

use crate::support::sources;
use std::fs;
use std::path::PathBuf;

/// Pronouns that hide the actor of a sentence.
const PRONOUNS: [&str; 18] = [
    "anybody",
    "anyone",
    "anything",
    "everybody",
    "everyone",
    "everything",
    "nobody",
    "nothing",
    "oneself",
    "somebody",
    "someone",
    "something",
    "whatever",
    "whichever",
    "whoever",
    "whom",
    "whomever",
    "whose",
];

/// The most pronouns of the list in 1,000 words.
const MAX_PER_THOUSAND: usize = 2;

/// With what no doc comment begins: it begins with a verb (functions) or a noun (types).
const KNOTTY_STARTS: [&str; 7] = ["What", "Who", "Whom", "Whose", "Whether", "How", "To whom"];

fn markdown_files() -> Vec<PathBuf> {
    let root = sources::root();
    let mut files: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|own| own == "md"));
    files.extend(sources::files(&root.join("docs"), "md"));
    assert!(files.len() > 5, "the documents were found");
    files
}

/// The text of a comment line, or of the comment at the end of a line of code.
fn comment(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with("//") {
        return line.trim_start_matches(['/', '!']);
    }
    line.split_once(" // ").map_or("", |(_, comment)| comment)
}

/// A document's prose: without fenced blocks and quoted code, which show what programs print.
fn prose(markdown: &str) -> String {
    let mut is_fenced = false;
    let mut prose = String::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// The pronouns in `text`, and how many words it has.
fn count(text: &str) -> (Vec<String>, usize) {
    let words = text.split(|c: char| !c.is_alphabetic() && c != '\'').filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    let pronouns = words.iter().filter(|word| PRONOUNS.contains(&word.as_str())).cloned().collect();
    (pronouns, words.len())
}

fn check(place: &str, text: &str) {
    let (pronouns, words) = count(text);
    let most = (words * MAX_PER_THOUSAND).div_ceil(1_000);
    assert!(pronouns.len() <= most, "{place}: {} pronouns in {words} words, {most} allowed", pronouns.len());
}

#[test]
fn pronouns_are_counted() {
    let (pronouns, words) = count("Whoever speaks is heard by somebody's client");
    assert_eq!((pronouns, words), (vec!["whoever".to_owned()], 7));
    assert_eq!(prose("Say `nobody`:\n```\nnobody\n```\nthen go"), "Say :\nthen go\n");
    assert_eq!(comment("let x = 1; // why"), "why");
}

#[test]
fn comments_name_their_actors() {
    let texts = sources::rust();
    let comments: Vec<&str> = texts.iter().flat_map(|(_, text)| text.lines()).map(comment).collect();
    check("src", &comments.join("\n"));
}

#[test]
fn documents_name_their_actors() {
    for path in markdown_files() {
        check(&path.display().to_string(), &prose(&fs::read_to_string(&path).unwrap()));
    }
}

#[test]
fn doc_comments_begin_with_a_verb_or_a_noun() {
    for (path, text) in sources::rust() {
        let mut before = "";
        for line in text.lines().map(str::trim_start) {
            let item = line.strip_prefix("/// ").filter(|_| !before.starts_with("///"));
            let first = item.or_else(|| line.strip_prefix("//! ").filter(|_| before.is_empty()));
            let is_knotty = |start: &&str| {
                let rest = first.and_then(|text| text.strip_prefix(*start));
                rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
            };
            assert!(!KNOTTY_STARTS.iter().any(is_knotty), "{}: {line}", path.display());
            before = line;
        }
    }
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(sources::root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 150 && readme.len() <= 12 * 1_024, "{} lines", readme.lines().count());
}

//! The documentation keeps to the writing rules that a program can check.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Words that leave the subject of a sentence open.
const OPENERS: [&str; 20] = [
    "What", "Who", "Whose", "Where", "Whether", "Which", "Those", "That", "Told", "As", "Of", "By",
    "With", "None", "It", "Its", "They", "One's", "Has", "Them",
];
const LONGEST_SENTENCE: usize = 30;
const WIDEST_PROSE: usize = 100;

fn files(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
}

fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for directory in ["src", "examples", "benches", "tests", "netloom-cni"] {
        files(&root.join(directory), ".rs", &mut found);
    }
    assert!(found.len() > 200, "{} sources were found", found.len());
    found
}

/// Returns the text of a line, if the line is a doc comment.
fn doc(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim)
}

fn is_prose(said: &str) -> bool {
    !said.is_empty() && !["#", "|", "```", "- ", "["].iter().any(|mark| said.starts_with(mark))
}

#[test]
fn doc_comments_name_what_they_are_about() {
    let mut wrong = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let mut in_block = false;
        for (number, line) in text.lines().enumerate() {
            let said = doc(line);
            let first = said.filter(|said| !in_block && is_prose(said));
            let word = first
                .and_then(|said| said.split(|c: char| !c.is_alphanumeric() && c != '\'').next());
            if word.is_some_and(|word| OPENERS.contains(&word)) {
                wrong.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
            in_block = said.is_some();
        }
    }
    assert!(wrong.is_empty(), "open with a verb, an article or a noun:\n{}", wrong.join("\n"));
}

#[test]
fn sentences_of_doc_comments_are_short() {
    let mut wrong = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let mut sentence = String::new();
        for (number, line) in text.lines().enumerate() {
            match doc(line).filter(|said| is_prose(said)) {
                Some(said) => sentence.extend([" ", said]),
                None => sentence.clear(),
            }
            while let Some(end) = end_of_sentence(&sentence) {
                let words = sentence[..end].split_whitespace().count();
                if words > LONGEST_SENTENCE {
                    wrong.push(format!("{}:{}: {words} words", path.display(), number + 1));
                }
                sentence.drain(..end);
            }
        }
    }
    assert!(wrong.is_empty(), "sentences over 30 words:\n{}", wrong.join("\n"));
}

/// Returns the position after the first full stop, question or exclamation mark that ends a word.
fn end_of_sentence(text: &str) -> Option<usize> {
    let is_end = |at: usize| text[at + 1..].chars().next().is_none_or(char::is_whitespace);
    text.match_indices(['.', '!', '?']).map(|(at, _)| at).find(|at| is_end(*at)).map(|at| at + 1)
}

#[test]
fn prose_wraps_at_100_columns() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    files(root, ".md", &mut pages);
    let mut wrong = Vec::new();
    for path in pages {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let is_exempt = ["|", "    ", "[", "```"].iter().any(|mark| line.starts_with(mark));
            let is_wide = line.chars().count() > WIDEST_PROSE;
            if is_wide && !is_exempt && !line.contains("](") {
                wrong.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "lines over 100 columns:\n{}", wrong.join("\n"));
}

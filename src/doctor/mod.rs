//! A report of the abilities of this process here: privileges, kinds of links, features of
//! `nf_tables`, and obstacles for packets. Each ability is tried, not guessed.
//!
//! ```
//! use netloom::LinkKind;
//! use netloom::doctor::{self, Check};
//! # netloom::sandbox::enter()?;
//!
//! let report = doctor::examine();
//! println!("{report}");
//! assert!(report.answer(&Check::Link(LinkKind::Veth)).is_some_and(|answer| answer.is_yes()));
//! # Ok::<(), netloom::Error>(())
//! ```
//!
//! Objects that a check needs are created in a separate namespace. The machine does not change,
//! except that the kernel may load a module.

mod answer;
mod check;
mod links;
mod nftables;
mod path;
mod privileges;
mod user_namespace;

use std::fmt;
use std::iter;

pub use answer::{Answer, Verdict};
pub use check::{Check, NftFeature};
pub use privileges::{Owner, Place};

use crate::error::Error;
use crate::netns::{Namespace, Netns};

/// The findings, in the order of the checks. `Display` writes a page for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// The user and the namespaces of the calling thread.
    pub place: Place,
    /// Each check with its answer.
    pub findings: Vec<(Check, Answer)>,
    /// Each check with its answer in a user namespace that a child process makes. Empty if the
    /// calling thread has all privileges, or if there is no such namespace for it.
    pub in_user_namespace: Vec<(Check, Answer)>,
}

impl Report {
    /// Returns the answer to a check.
    pub fn answer(&self, check: &Check) -> Option<&Answer> {
        self.findings.iter().find(|(one, _)| one == check).map(|(_, answer)| answer)
    }

    /// Returns the checks that failed, each with a reason and a remedy.
    pub fn problems(&self) -> impl Iterator<Item = (&Check, &Answer)> {
        let findings = self.findings.iter().filter(|(_, answer)| answer.is_no());
        findings.map(|(check, answer)| (check, answer))
    }
}

/// Checks the abilities of the calling thread. Never fails: "unknown" is an answer, too.
///
/// If the thread lacks a privilege, a child process repeats all checks in a user namespace. The
/// child ends after 20 seconds at the latest.
pub fn examine() -> Report {
    let here = Netns::current();
    let mut findings = everything(here.as_ref());
    let is_ordinary = findings[..PRIVILEGES].iter().any(|(_, answer)| answer.is_no());
    let in_child = move || {
        let findings = is_ordinary.then(|| everything(Netns::current().as_ref()));
        findings.into_iter().flatten().map(|(_, answer)| answer).collect()
    };
    let (answer, answers) = user_namespace::try_in_child(LIMIT, in_child);
    let mut in_user_namespace = Vec::new();
    if is_ordinary && answer.is_yes() {
        let lost = iter::repeat_with(|| Answer::unknown("the child process gave no answer"));
        let checks = findings.iter().map(|(check, _)| check.clone());
        in_user_namespace.extend(checks.zip(answers.into_iter().chain(lost)));
    }
    findings.insert(PRIVILEGES, (Check::UserNamespaces, answer));
    Report { place: Place::of_this_thread(here.as_ref().ok()), findings, in_user_namespace }
}

/// The time limit of the child, in seconds.
const LIMIT: u32 = 20;

/// The number of privileges, which are the first findings.
const PRIVILEGES: usize = 3;

/// Checks all but user namespaces, in the order of the report.
fn everything(here: Result<&Netns, &Error>) -> Vec<(Check, Answer)> {
    let room = Namespace::anonymous().create();
    let inside = room.as_ref().map(|netns| &**netns);
    let mut findings = privileges::examine(here);
    findings.push((Check::NewNamespace, Answer::from(inside.map(drop))));
    findings.push((Check::NamedNamespaces, privileges::named_namespaces()));
    findings.extend(path::examine(here));
    findings.extend(links::examine(inside));
    findings.extend(nftables::examine(inside));
    findings
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        print(f, &self.findings)?;
        if !self.in_user_namespace.is_empty() {
            f.write_str("\n\nIn a user namespace (`unshare -rnm`, `netloom::sandbox`):")?;
        }
        print(f, &self.in_user_namespace)
    }
}

fn print(f: &mut fmt::Formatter<'_>, findings: &[(Check, Answer)]) -> fmt::Result {
    let mut section = "";
    for (check, answer) in findings {
        let (of, words) = check.words();
        if of != section {
            section = of;
            write!(f, "\n\n{section}")?;
        }
        write!(f, "\n  {:7} {words}", answer.verdict())?;
        for (word, text) in [("because", answer.reason()), ("do", answer.remedy())] {
            if let Some(text) = text {
                write!(f, "\n          {word}: {text}")?;
            }
        }
    }
    Ok(())
}

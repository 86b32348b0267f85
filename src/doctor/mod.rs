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
//! Objects that a check needs are made in a namespace of its own. Nothing of the machine changes,
//! except that the kernel may load a module.

mod answer;
mod check;
mod links;
mod nftables;
mod path;
mod privileges;

use std::fmt;

pub use answer::Answer;
pub use check::{Check, NftFeature};
pub use privileges::{Owner, Place};

use crate::error::Error;
use crate::netns::{Namespace, Netns};
use crate::owned::Owned;

/// The findings, in order. `Display` writes a page for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The user and the namespaces of the calling thread.
    pub place: Place,
    /// Each check with its answer.
    pub findings: Vec<(Check, Answer)>,
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
pub fn examine() -> Report {
    let here = Netns::current();
    let mut findings = privileges::examine(here.as_ref());
    let room = Namespace::anonymous().create();
    findings.push((Check::NewNamespace, Answer::from(room.as_ref().map(drop))));
    findings.push((Check::NamedNamespaces, privileges::named_namespaces()));
    findings.extend(path::examine(here.as_ref()));
    findings.extend(links::examine(room.as_deref_room()));
    findings.extend(nftables::examine(room.as_deref_room()));
    Report { place: Place::of_this_thread(here.as_ref().ok()), findings }
}

/// The namespace for the doctor's trials, or the reason for its absence.
trait Room {
    fn as_deref_room(&self) -> Result<&Netns, &Error>;
}

impl Room for Result<Owned<Netns>, Error> {
    fn as_deref_room(&self) -> Result<&Netns, &Error> {
        self.as_ref().map(|netns| &**netns)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        let mut section = "";
        for (check, answer) in &self.findings {
            if check.section() != section {
                section = check.section();
                write!(f, "\n\n{section}")?;
            }
            write!(f, "\n  {} {check}", answer.mark())?;
            let more = [answer.reason(), answer.remedy()];
            for (word, text) in ["because: ", "do: "].iter().zip(more) {
                if let Some(text) = text {
                    write!(f, "\n      {word}{text}")?;
                }
            }
        }
        Ok(())
    }
}

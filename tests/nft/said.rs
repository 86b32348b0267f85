//! Rules in two forms: built by netloom, and written in the syntax of `nft`. The text is written by
//! hand, not derived from the rule.

use std::fmt::Display;
use std::time::Duration;

use netloom::nft::{Numgen, Rule};
use netloom::{Bridge, Namespace, Netns};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::golden::{essence, load};
use crate::support::{Place, nft};

/// The packet's known family, which decides how a rejection is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Neither,
    Ip4,
    Ip6,
}

#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) rule: Rule,
    pub(crate) text: String,
    pub(crate) known: Known,
}

impl Said {
    pub(crate) fn nothing() -> Self {
        Self { rule: Rule::new(), text: String::new(), known: Known::Neither }
    }

    pub(crate) fn ip4(self) -> Self {
        Self { known: Known::Ip4, ..self }
    }

    pub(crate) fn ip6(self) -> Self {
        Self { known: Known::Ip6, ..self }
    }

    /// Returns the text as `nft` lists it. A rejection by `ICMPv6` implies the family, so `nft`
    /// omits the match on the family.
    fn as_listed(&self) -> &str {
        match self.text.strip_prefix("meta nfproto ipv6 ") {
            Some(rest) if rest.contains("reject with icmpv6") => rest,
            _ => &self.text,
        }
    }

    pub(crate) fn and(self, build: impl FnOnce(Rule) -> Rule, words: impl Display) -> Self {
        let space = if self.text.is_empty() { "" } else { " " };
        let text = format!("{}{space}{words}", self.text);
        Self { rule: build(self.rule), text, ..self }
    }
}

/// Returns a mark as `nft` lists it: `0x0000000a`.
pub(crate) fn hex(mark: u32) -> String {
    format!("0x{mark:08x}")
}

/// Returns a time as `nft` lists it: `1d2h3m4s500ms`.
pub(crate) fn time(of: Duration) -> String {
    let seconds = of.as_secs();
    let parts = [
        (u64::from(of.subsec_millis()), "ms"),
        (seconds % 60, "s"),
        (seconds / 60 % 60, "m"),
        (seconds / 3600 % 24, "h"),
        (seconds / 86_400, "d"),
    ];
    let said = parts.into_iter().rev().filter(|(count, _)| *count != 0);
    said.fold(String::new(), |said, (count, unit)| format!("{said}{count}{unit}"))
}

/// Returns a size as `nft` lists it: `3 kbytes`.
pub(crate) fn bytes(count: u64) -> String {
    const KIB: u64 = 1024;
    match count {
        _ if count.is_multiple_of(KIB * KIB) => format!("{} mbytes", count / KIB / KIB),
        _ if count.is_multiple_of(KIB) => format!("{} kbytes", count / KIB),
        _ => format!("{count} bytes"),
    }
}

/// Returns one of four kinds of number generators that spread packets, and its text.
pub(crate) fn spread(n: u32) -> (Numgen, String) {
    let modulus = n % 100 + 10;
    let offset = n / 3 % 50;
    let (number, words) = match n % 4 {
        0 => (Numgen::incremental(modulus), format!("numgen inc mod {modulus}")),
        1 => (Numgen::random(modulus), format!("numgen random mod {modulus}")),
        2 => (Numgen::symhash(modulus), format!("symhash mod {modulus}")),
        _ => (
            Numgen::jhash([netloom::nft::Field::Mark], modulus).seed(n),
            format!("jhash meta mark mod {modulus} seed 0x{n:x}"),
        ),
    };
    let words = if offset == 0 { words } else { format!("{words} offset {offset}") };
    (number.offset(offset), words)
}

pub(crate) fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Compares three forms of the rules. The last chain of the first table of `ours` must read back as
/// the built rules. `nft` loads `written` in another namespace, with the text in place of RULES.
/// That ruleset must read back as the same rules. `nft` must list the built ruleset as the text.
pub(crate) fn is_the_same(
    ours: &Netns,
    links: &[&str],
    written: &str,
    said: &[Said],
) -> Result<(), TestCaseError> {
    let read = ours.nft_ruleset().unwrap();
    let rules = &read[0].chains.last().unwrap().rules;
    prop_assert_eq!(rules.len(), said.len());
    for (said, info) in said.iter().zip(rules) {
        prop_assert_eq!(&info.rule, &said.rule, "{}", said.text);
    }
    let text: Vec<_> = said.iter().map(|said| said.text.as_str()).collect();
    let ruleset = written.replace("RULES", &text.join("\n\t\t"));
    let theirs = Namespace::anonymous().create().unwrap();
    for link in links {
        Bridge::new(*link).create(&theirs).unwrap().keep();
    }
    if !load(&theirs, &ruleset) {
        return Ok(());
    }
    let written = theirs.nft_ruleset().unwrap();
    for (said, info) in said.iter().zip(&written[0].chains.last().unwrap().rules) {
        prop_assert_eq!(&info.rule, &said.rule, "{}", said.text);
    }
    prop_assert_eq!(essence(written), essence(read));
    let listed = |netns: &Netns| nft(&Place::of_fd(netns), &["-s", "list", "ruleset"]).unwrap();
    let (ours, theirs) = (listed(ours), listed(&theirs));
    let as_listed: Vec<_> = said.iter().map(Said::as_listed).collect();
    prop_assert_eq!(rules_of(&ours, "generated"), as_listed);
    prop_assert_eq!(lines(&ours), lines(&theirs));
    Ok(())
}

/// Returns the lines to compare: without indentation and without the table's owner.
fn lines(listed: &str) -> Vec<&str> {
    listed
        .lines()
        .filter(|line| !line.contains("flags owner"))
        .map(|line| line.split(" # progname").next().unwrap().trim())
        .filter(|line| !line.is_empty())
        .collect()
}

/// Returns the rules of a chain in a listing.
fn rules_of<'a>(listed: &'a str, chain: &str) -> Vec<&'a str> {
    let beginning = format!("chain {chain} {{");
    let mut rest = lines(listed).into_iter().skip_while(|line| *line != beginning).skip(1);
    rest.by_ref()
        .take_while(|line| *line != "}")
        .filter(|line| !line.starts_with("type "))
        .collect()
}

//! A short run without a fuzzer: every seed, and mutated copies of each. `tools/fuzz` runs longer.

use std::fs;
use std::path::{Path, PathBuf};

use super::{answered_by, messages_of, nf_tables_expressions, nf_tables_objects, recorded};
use crate::sandbox;
use netloom::Netns;

#[path = "questions.rs"]
#[allow(unreachable_pub)] // it is a module of the fuzz targets'
mod questions;

use questions::{ACKNOWLEDGEMENTS, CONNTRACK, NF_TABLES, Question, RTNETLINK, SOCK_DIAG};

/// The number of mutated copies of each seed.
const COPIES: usize = 60;

/// A random number generator that yields the same numbers in every run, so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(6) {
            0 => bytes.truncate(at),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            2 => bytes[at] ^= 1 << self.below(8),
            3 => {
                let end = at + self.below(64).min(bytes.len() - at);
                let part = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, part);
            }
            4 => drop(bytes.splice(at..(at + 4).min(bytes.len()), [0xff; 4])),
            _ => drop(bytes.drain(at..at + self.below(16).min(bytes.len() - at))),
        }
    }
}

/// Returns the directory of a target's seeds.
fn seeds_of(target: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if root.join("Cargo.toml.orig").exists() {
        // Cargo leaves nested packages, such as the fuzz targets, out of a packaged crate.
        eprintln!("not here: the seeds are in the repository, and this is a package of it");
        return None;
    }
    Some(root.join("fuzz/seeds").join(target))
}

fn mutated_seeds(target: &str, read: impl Fn(&[u8])) {
    let Some(directory) = seeds_of(target) else { return };
    let mut seeds = 0;
    for seed in fs::read_dir(directory).unwrap() {
        let seed = fs::read(seed.unwrap().path()).unwrap();
        read(&seed);
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed.len() as u64);
        for _ in 0..COPIES {
            let mut copy = seed.clone();
            for _ in 0..=random.below(4) {
                random.change(&mut copy);
                if copy.is_empty() {
                    break;
                }
            }
            read(&copy);
        }
        seeds += 1;
    }
    assert!(seeds > 1, "the seeds of {target} were read");
}

fn asked(target: &str, questions: &[Question]) {
    let netns = Netns::current().unwrap();
    mutated_seeds(target, |bytes| {
        let [which, script @ ..] = bytes else { return };
        let question = &questions[usize::from(*which) % questions.len()];
        let text = question.answered_by(script, &netns);
        assert!(!text.is_empty(), "{}", question.name);
    });
    // No question reached the kernel. From here on the kernel answers again.
    assert_eq!(netns.links().unwrap().len(), 1);
}

#[test]
fn rtnetlink() {
    sandbox::run(|| asked("rtnetlink", RTNETLINK)).unwrap();
}

#[test]
fn nf_tables() {
    sandbox::run(|| asked("nf_tables", NF_TABLES)).unwrap();
}

#[test]
fn acknowledgements() {
    sandbox::run(|| asked("acknowledgements", ACKNOWLEDGEMENTS)).unwrap();
}

#[test]
fn conntrack() {
    sandbox::run(|| asked("conntrack", CONNTRACK)).unwrap();
}

#[test]
fn sock_diag() {
    sandbox::run(|| asked("sock_diag", SOCK_DIAG)).unwrap();
}

#[test]
fn nf_tables_codec() {
    mutated_seeds("nf_tables_codec", |bytes| match bytes {
        [0, list @ ..] => nf_tables_expressions(list),
        [_, messages @ ..] => nf_tables_objects(messages),
        [] => {}
    });
}

/// A seed answers the question that its first byte chooses, whatever was asked before.
#[test]
fn a_seed_answers_its_question() {
    sandbox::run(|| {
        let netns = Netns::current().unwrap();
        for (target, questions, name, words) in [
            ("rtnetlink", RTNETLINK, "vlans-listed", ["id: 1, pvid: true", "id: 29"]),
            ("rtnetlink", RTNETLINK, "bridge-info-full", ["Some(BridgeInfo", "ageing_time: 300s"]),
            ("nf_tables", NF_TABLES, "persistent-full", ["NatRule(", "PortForward("]),
            ("nf_tables", NF_TABLES, "persistent-full", ["Firewall(", "tag: \"other\""]),
            ("nf_tables", NF_TABLES, "port-forwards-full", ["9009", "fd00::2"]),
            ("nf_tables", NF_TABLES, "ports-in-force-full", ["[true", "true, true]"]),
            ("nf_tables", NF_TABLES, "element-full", ["Some(Some(Element", "Number(22)"]),
        ] {
            let Some(directory) = seeds_of(target) else { return };
            let seed = fs::read(directory.join(name)).unwrap();
            let (which, script) = seed.split_first().unwrap();
            let text = questions[usize::from(*which)].answered_by(script, &netns);
            for words in words {
                assert!(text.contains(words), "{name}: {text}");
            }
        }
    })
    .unwrap();
}

/// A recorded answer fits the same question, whatever its sequence number.
#[test]
fn a_record_is_a_script() {
    sandbox::run(|| {
        let netns = Netns::current().unwrap();
        let (said, script) = recorded(|| netns.links().unwrap());
        assert!(messages_of(&script).len() + 4 <= script.len());
        for _ in 0..3 {
            assert_eq!(answered_by(&script, || netns.links().unwrap()), said);
        }
        let silence = answered_by(&[], || netns.links().unwrap_err());
        assert!(silence.to_string().contains("no answer"), "{silence}");
    })
    .unwrap();
}

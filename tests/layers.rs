//! The code keeps to the layers of its design: a file uses what is below it, and what is beside.
//!
//! Read from `use crate::…` and from paths that start with `crate::`, tests left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module's layer, the lowest first. What is beside them (errors, owners, values) is used by all.
const LAYERS: [(&str, u32); 19] = [
    ("wire", 0),
    ("netlink", 1),
    ("netns", 2),
    ("link", 3),
    ("address", 3),
    ("route", 3),
    ("rule", 3),
    ("neighbor", 3),
    ("nft", 3),
    ("nat", 3),
    ("qdisc", 3),
    ("conntrack", 3),
    ("sysctl", 3),
    ("reap", 3),
    ("persistent", 3),
    ("doctor", 3),
    ("firewall", 3),
    ("topology", 4),
    ("inspect", 4),
];

/// Errors, owners and values: single files without a layer. Used by all; they use nothing but each other.
fn is_beside(module: &str) -> bool {
    layer(module).is_none() && root().join(format!("{module}.rs")).is_file()
}

/// Not of the library's layers: what tests and examples run in. It uses errors and `sys` alone.
const SANDBOX: &str = "sandbox";

fn layer(module: &str) -> Option<u32> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// A file's code without comments, and without its tests, which stand last.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// `link` of `src/link/veth.rs` and of `src/link.rs`.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap();
    let first = inside.components().next().unwrap().as_os_str();
    Path::new(first).file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The first names after `crate::`, those in braces as well.
fn used(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').map_or(rest, |list| list.split("};").next().unwrap());
        let parts: Vec<_> =
            if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
        for part in parts {
            let name = part.trim_start().chars();
            let name: String = name.take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() {
                names.insert(name);
            }
        }
    }
    names
}

#[test]
fn every_file_uses_only_what_is_below_it() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in sources(&root()) {
        let module = module_of(&path);
        // `fault` is tests of all layers, and in any other build an empty function; `fuzzing` is in the
        // build of the fuzz targets alone.
        if matches!(module.as_str(), "lib" | "main" | "fault" | "fuzzing") {
            continue;
        }
        seen.insert(module.clone());
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let own = layer(&module);
        if own.is_none() && !is_beside(&module) && module != SANDBOX {
            wrong.push(format!(
                "{shown}: `{module}` has no layer: give it one here and in the design"
            ));
        }
        for name in used(&code(&path)) {
            let allowed = name == module
                || name == "fault"
                || is_beside(&name)
                // What stands in the way of a sandbox, the doctor tells as well.
                || (module == "doctor" && name == SANDBOX)
                || match (own, layer(&name)) {
                    // Networks know the public API alone, which is what `lib.rs` re-exports.
                    (Some(0), _) | (Some(4), Some(_)) => false,
                    (Some(4), None) => name.starts_with(char::is_uppercase),
                    // A name of the crate's root is the sum of all layers.
                    (Some(own), Some(other)) => other <= own,
                    _ => false,
                };
            if !allowed {
                wrong.push(format!("{shown} uses `crate::{name}`, which is not below `{module}`"));
            }
        }
    }
    assert!(seen.len() >= 15, "the sources were read: {seen:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The lowest layer knows nothing, not even what is beside; and it does no I/O.
#[test]
fn the_wire_layer_does_no_io() {
    for path in sources(&root().join("wire")) {
        let code = code(&path);
        for io in [
            "std::fs",
            "std::io",
            "std::net::Tcp",
            "std::net::Udp",
            "netlink_sys",
            "std::os::fd",
            "nix::",
        ] {
            assert!(!code.contains(io), "{} uses {io}", path.display());
        }
    }
}

/// The nf_tables model is values: it knows no socket, no namespace and no handle.
#[test]
fn the_nft_model_is_pure() {
    for path in sources(&root().join("nft/model")) {
        let code = code(&path);
        for kernel in ["crate::netns", "crate::netlink", "nft::live", "super::live", "Netns"] {
            assert!(!code.contains(kernel), "{} uses {kernel}", path.display());
        }
    }
}

/// Layer 1 is the only code that waits for the kernel's netlink answers.
#[test]
fn netlink_sockets_are_opened_in_one_layer() {
    for path in sources(&root()) {
        let code = code(&path);
        let inside = module_of(&path) == "netlink";
        assert!(
            inside || !code.contains("netlink_sys::"),
            "{} opens a netlink socket",
            path.display()
        );
    }
}

#[test]
fn unsafe_is_in_one_file_with_a_reason_each() {
    for path in sources(&root()) {
        let text = fs::read_to_string(&path).unwrap();
        let code = code(&path);
        let count = code.matches("unsafe {").count()
            + code.matches("unsafe fn").count()
            + code.matches("unsafe impl").count();
        if module_of(&path) == "sys" {
            assert!(count > 0 && text.matches("// SAFETY:").count() >= count, "a reason each");
        } else {
            assert_eq!(count, 0, "{}", path.display());
            assert!(!code.contains("allow(unsafe_code"), "{}", path.display());
        }
    }
}

/// Waits end by the clock that nobody sets: a jump of the other ends none early and prolongs none.
#[test]
fn time_is_the_monotonic_clocks() {
    for path in sources(&root()) {
        let code = code(&path);
        for clock in ["SystemTime", "CLOCK_REALTIME", "UNIX_EPOCH"] {
            assert!(!code.contains(clock), "{} asks {clock}", path.display());
        }
    }
}

#[test]
fn the_crates_root_holds_no_logic() {
    let code = code(&root().join("lib.rs"));
    // The README stands there for its examples to be run.
    let code = code.split("#[cfg(doctest)]").next().unwrap();
    for word in ["fn ", "impl ", "struct ", "enum ", "trait ", "const ", "static ", "macro_rules!"]
    {
        let found = code
            .lines()
            .find(|line| line.trim_start().trim_start_matches("pub ").starts_with(word));
        assert_eq!(found, None, "lib.rs declares modules and re-exports");
    }
    let one_screen = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(one_screen <= 100, "{one_screen} lines are more than one screen");
}

#[test]
fn what_a_file_uses_is_read_right() {
    let used = |code: &str| used(code).into_iter().collect::<Vec<_>>();
    assert_eq!(
        used("use crate::link::Link;\nuse crate::netns::{Netns, Quoted};"),
        ["link", "netns"]
    );
    assert_eq!(used("use crate::{mac::MacAddr, link, owned::Owned};"), ["link", "mac", "owned"]);
    assert_eq!(used("fn a() -> crate::error::Error"), ["error"]);
    assert_eq!(used("use std::fmt; // nothing"), [""; 0]);
}

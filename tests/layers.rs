//! The code keeps to the layers of its design: a file uses only its own and lower layers.
//!
//! The test reads `use crate::…` and paths that start with `crate::`, except in tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layer of each module, the lowest first. Modules beside the layers (errors, owners, values)
/// are used by all.
const LAYERS: [(&str, u32); 23] = [
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
    ("serialize", 3),
    ("doctor", 3),
    ("firewall", 3),
    ("link_names", 3),
    ("obstacle", 3),
    ("watch", 3),
    ("topology", 4),
    ("inspect", 4),
];

/// Returns whether a module is a single file without a layer: errors, owners and values. All layers
/// use these files, which use only each other.
fn is_beside(module: &str) -> bool {
    layer(module).is_none() && root().join(format!("{module}.rs")).is_file()
}

/// The sandbox is outside the library's layers, because tests and examples run inside it. It uses
/// only errors and `sys`.
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

/// Returns a file's code without comments and without the tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// Returns the module of a file: `link` for `src/link/veth.rs` and for `src/link.rs`.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap();
    let first = inside.components().next().unwrap().as_os_str();
    Path::new(first).file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Returns the first name after each `crate::`, and each name in braces after it.
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
        // `fault` tests all layers, and is an empty function in any other build. `fuzzing` exists
        // only in the build of the fuzz targets, `testing` only in that of tests.
        if matches!(module.as_str(), "lib" | "main" | "fault" | "fuzzing" | "testing") {
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
                // The doctor reports the obstacles that the sandbox finds.
                || (module == "doctor" && name == SANDBOX)
                || match (own, layer(&name)) {
                    // Layer 4 uses the public API alone, which `lib.rs` re-exports.
                    (Some(0), _) | (Some(4), Some(_)) => false,
                    (Some(4), None) => name.starts_with(char::is_uppercase),
                    // A module may use modules of its own layer and of lower layers.
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

/// The lowest layer uses no other module, not even errors and values, and does no I/O.
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

/// Types that make no system call: an errno, and the parts and results of a command.
const VALUES: [&str; 12] = [
    "nix::errno::Errno",
    "std::process::Child",
    "std::process::ChildStderr",
    "std::process::ChildStdin",
    "std::process::ChildStdout",
    "std::process::Command",
    "std::process::ExitCode",
    "std::process::ExitStatus",
    "std::process::Output",
    "std::process::Stdio",
    "std::process::Termination",
    "std::process::self",
];

/// Returns the system calls that a file makes without `sys`: the paths of system crates that are no
/// [`VALUES`], and the commands that it starts.
fn calls(code: &str) -> Vec<String> {
    const SYSTEM: [&str; 5] = ["libc", "nix", "std::fs", "std::process", "std::thread"];
    let of_system = |path: &String| {
        let is_in = |of: &&str| {
            path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        SYSTEM.iter().any(is_in)
    };
    let imported: Vec<_> = uses(code).into_iter().map(|(_, path)| path).collect();
    let has_std_process =
        imported.iter().any(|path| path == "std::process::self" || path == "std::process");
    let lines = code.lines().filter(|line| !line.contains("use "));
    let words =
        lines.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && !"_:".contains(c)));
    let written = words.map(|word| match word.strip_prefix("process::") {
        Some(name) if has_std_process => format!("std::process::{name}"),
        _ => word.to_owned(),
    });
    let is_value = |path: &String| VALUES.contains(&path.strip_suffix("::new").unwrap_or(path));
    let paths = imported.iter().cloned().chain(written);
    let mut found: Vec<_> = paths.filter(|path| of_system(path) && !is_value(path)).collect();
    let starts = ["command.spawn()", "inner.spawn()", "child.spawn()", ".exec()"];
    found.extend(starts.iter().filter(|call| code.contains(**call)).map(|call| (*call).to_owned()));
    found
}

/// Faults are injected in `sys`, so all system calls must go through that module. The netlink layer
/// alone uses `netlink_sys`.
#[test]
fn the_system_is_called_through_one_door() {
    let mut wrong = Vec::new();
    for path in sources(&root()) {
        if matches!(module_of(&path).as_str(), "sys" | "fault" | "fuzzing" | "testing") {
            continue;
        }
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        wrong.extend(calls(&code(&path)).into_iter().map(|call| format!("{shown} has {call}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        calls(
            "use std::{fs::File, io};\nuse std::process::{self, Stdio};\n\
             fn f() { process::Command::new(process::id()).arg(nix::unistd::getpid()).exec() }"
        ),
        ["std::fs::File", "std::process::id", "nix::unistd::getpid", ".exec()"]
    );
}

#[test]
fn unsafe_is_in_one_module_with_a_reason_each() {
    // No build of the library contains `testing`.
    for path in sources(&root()).into_iter().filter(|path| module_of(path) != "testing") {
        let text = fs::read_to_string(&path).unwrap();
        let code = code(&path);
        let count = code.matches("unsafe {").count()
            + code.matches("unsafe fn").count()
            + code.matches("unsafe impl").count();
        if module_of(&path) == "sys" {
            let reasons = text.matches("// SAFETY:").count() + text.matches("# Safety").count();
            assert!(reasons >= count, "{}: a reason each", path.display());
        } else {
            assert_eq!(count, 0, "{}", path.display());
            assert!(!code.contains("allow(unsafe_code"), "{}", path.display());
        }
    }
}

/// Waits use the monotonic clock: setting the wall clock must not shorten or prolong them.
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
    // `lib.rs` includes the README so that its examples run as doc tests.
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

/// A module's path, as `["netns", "open"]`. The crate's root has none.
type Module = Vec<String>;

/// All files of the library, by module, without their tests.
fn modules() -> BTreeMap<Module, String> {
    let mut modules = BTreeMap::new();
    for path in sources(&root()) {
        let inside = path.strip_prefix(root()).unwrap().with_extension("");
        let mut module: Module =
            inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        module.pop_if(|last| last == "mod");
        if module == ["lib"] {
            module.clear();
        }
        if !matches!(module.first().map(String::as_str), Some("fault" | "fuzzing" | "testing")) {
            modules.insert(module, code(&path));
        }
    }
    modules
}

/// Returns the paths of a tree of imports: `a::b` and `a::c::d` for `a::{b, c::d}`.
fn expanded(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((start, list)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap();
        return vec![path.split_whitespace().collect()];
    };
    let list = list.rsplit_once('}').map_or(list, |(list, _)| list);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in list.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expanded(part)).map(|path| format!("{}{path}", start.trim())).collect()
}

/// Returns the `use` declarations of a file: whether each is a re-export, and its path.
fn uses(code: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let lines: Vec<&str> = statement.lines().collect();
        let is_use = |line: &&str| {
            let line = line.trim_start();
            let rest = line.strip_prefix("pub").unwrap_or(line);
            let rest = rest
                .strip_prefix('(')
                .and_then(|rest| rest.split_once(')'))
                .map_or(rest, |two| two.1);
            rest.trim_start().starts_with("use ")
        };
        let Some(first) = lines.iter().position(is_use) else { continue };
        let text = lines[first..].join(" ");
        let (before, tree) = text.split_once("use ").unwrap();
        let is_export = before.contains("pub");
        found.extend(expanded(tree).into_iter().map(|path| (is_export, path)));
    }
    found
}

/// Returns the paths in a file's code that start with `crate` or `super`.
fn inline_paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in code.lines().filter(|line| !line.contains("use ") && !line.contains("pub(in ")) {
        for start in ["crate::", "super::"] {
            for (at, _) in line.match_indices(start) {
                let is_start =
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
                let path =
                    line[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c));
                if is_start {
                    found.push(path.collect());
                }
            }
        }
    }
    found
}

/// Returns the module that a path names, and the first name after the module.
fn resolved(
    modules: &BTreeMap<Module, String>,
    from: &Module,
    path: &str,
) -> Option<(Module, Option<String>)> {
    let mut parts = path.split("::").map(str::trim).filter(|part| !part.is_empty()).peekable();
    let mut at = match *parts.peek()? {
        "crate" => Module::new(),
        "self" => from.clone(),
        "super" => from[..from.len().checked_sub(1)?].to_vec(),
        name => {
            let child = [from.as_slice(), &[name.to_owned()]].concat();
            if !modules.contains_key(&child) {
                return None;
            }
            from.clone()
        }
    };
    if matches!(*parts.peek()?, "crate" | "self" | "super") {
        parts.next();
    }
    for part in parts {
        let child = [at.as_slice(), &[part.to_owned()]].concat();
        match part {
            "super" => drop(at.pop()),
            "self" => {}
            _ if modules.contains_key(&child) => at = child,
            name => return Some((at, Some(name.to_owned()))),
        }
    }
    Some((at, None))
}

/// Returns the files that each file imports from. A re-exported item counts for the file that
/// defines it.
fn imports(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let (mut exports, mut paths) = (BTreeMap::new(), Vec::new());
    for (module, code) in modules {
        for (is_export, path) in uses(code) {
            if is_export {
                let name = path.rsplit("::").next().unwrap().to_owned();
                exports.insert((module.clone(), name), path);
            } else {
                paths.push((module, path));
            }
        }
        paths.extend(inline_paths(code).into_iter().map(|path| (module, path)));
    }
    let mut imports: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (module, path) in paths {
        let mut target = resolved(modules, module, &path);
        while let Some((at, Some(name))) = &target
            && let Some(path) = exports.get(&(at.clone(), name.clone()))
        {
            let next = resolved(modules, at, path);
            if next == target {
                break;
            }
            target = next;
        }
        if let Some((target, _)) = target
            && !target.is_empty()
            && target != *module
        {
            imports.entry(module.clone()).or_default().insert(target);
        }
    }
    imports
}

/// Returns all files that a file imports from, directly or through other files.
fn reached(imports: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(module) = next.pop() {
        for target in imports.get(&module).into_iter().flatten() {
            if reached.insert(target.clone()) {
                next.push(target.clone());
            }
        }
    }
    reached
}

#[test]
fn no_files_import_one_another_in_a_circle() {
    let modules = modules();
    let imports = imports(&modules);
    let edges: usize = imports.values().map(BTreeSet::len).sum();
    assert!(modules.len() > 100 && edges > 300, "the imports were read: {edges}");
    let circle = modules.keys().filter(|module| reached(&imports, module).contains(*module));
    let circle: Vec<_> = circle.map(|module| module.join("/")).collect();
    assert!(circle.is_empty(), "these import themselves: {}", circle.join(", "));
}

#[test]
fn imports_are_read_right() {
    assert_eq!(expanded("a::{b, c::{d as e, f}, self}"), ["a::b", "a::c::d", "a::c::f", "a::self"]);
    assert_eq!(
        uses("mod a;\npub(crate) use a::B;\nuse super::c::{D,\n    E};\nfn f() {}"),
        [(true, "a::B".into()), (false, "super::c::D".into()), (false, "super::c::E".into())]
    );
    assert_eq!(
        inline_paths("fn f(a: crate::b::C, d: x::super::E) { super::g() }"),
        ["crate::b::C", "super::g"]
    );
}

/// Locks, threads and random state belong to one process: after a fork the child would use the
/// parent's.
#[test]
fn what_belongs_to_a_process_is_in_one_place() {
    // `link/shared.rs` never blocks on its locks.
    const EXCEPTIONS: [&str; 1] = ["link/shared.rs"];
    let mut wrong = Vec::new();
    for path in sources(&root()) {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        if matches!(module_of(&path).as_str(), "sys" | "fault" | "fuzzing" | "testing")
            || EXCEPTIONS.contains(&shown.as_str())
        {
            continue;
        }
        let code = code(&path);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        let bare = words.filter(|word| ["Mutex", "RwLock", "Flock", "RandomState"].contains(word));
        wrong.extend(bare.map(|word| format!("{shown} has a bare {word}")));
        if code.contains("JoinHandle") && !code.contains("OfProcess") {
            wrong.push(format!("{shown} has a bare JoinHandle"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

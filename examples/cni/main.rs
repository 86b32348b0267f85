//! `netloom-cni`: a CNI plugin that connects containers to a bridge, with addresses, masquerading, published
//! ports and isolation in one call. See docs/cni.md.
//!
//! | what | where |
//! |---|---|
//! | the protocol | `call` (variables), `config` (with `fields`, `port_mapping`), `result`, `failure`, `version` |
//! | the commands | `add`, `del`, `check`, `gc`, `status` |
//! | addresses | `ipam`: delegated or built in |
//! | what is made in the kernel | `host`, `bridge`, `vlan`, `cable`, `filter`, `ports` |
//! | what is remembered | `store`, by `attachment` |

mod add;
mod attachment;
mod bridge;
mod cable;
mod call;
mod check;
mod config;
mod del;
mod failure;
mod fields;
mod filter;
mod gc;
mod host;
mod ipam;
mod port_mapping;
mod ports;
mod result;
mod status;
mod store;
mod version;
mod vlan;

use std::env;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use call::{Call, Command};
use config::Config;
use failure::{Code, Failure};
use version::Version;

fn main() -> ExitCode {
    let mut text = String::new();
    let read = io::stdin().lock().read_to_string(&mut text);
    let read = read.map_err(|error| Failure::new(Code::Io, format!("read stdin: {error}")));
    let (answer, code) = match read.and_then(|_| run(&text)) {
        Ok(answer) => (answer, ExitCode::SUCCESS),
        Err(failure) => (Some(failure.to_json(&version_of(&text))), ExitCode::FAILURE),
    };
    let written = match answer {
        // One write: a runtime reads while we print.
        Some(answer) => io::stdout().lock().write_all(format!("{answer:#}\n").as_bytes()),
        None => Ok(()),
    };
    if written.is_ok() { code } else { ExitCode::FAILURE }
}

/// Does what is asked for, and returns what is to be printed.
fn run(text: &str) -> Result<Option<Value>, Failure> {
    let call = Call::read(|name| env::var(name).ok())?;
    if call.command == Command::Version {
        return Ok(Some(versions(text)));
    }
    let config = Config::read(text, &call)?;
    match call.command {
        Command::Add => add::add(&call, &config).map(Some),
        Command::Del => del::del(&call, &config).map(|()| None),
        Command::Check => check::check(&call, &config).map(|()| None),
        Command::Gc => gc::gc(&call, &config).map(|()| None),
        Command::Status | Command::Version => status::status(&call, &config).map(|()| None),
    }
}

fn versions(text: &str) -> Value {
    let spoken = Version::ALL.map(Version::name);
    json!({ "cniVersion": version_of(text), "supportedVersions": spoken })
}

/// The version that an answer is in: the one that was asked in, where it is spoken.
fn version_of(text: &str) -> String {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let said = document["cniVersion"].as_str().and_then(|said| said.parse().ok());
    said.unwrap_or(Version::LATEST).to_string()
}

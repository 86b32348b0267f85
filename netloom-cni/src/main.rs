//! `netloom-cni`: a CNI plugin that connects containers to a bridge, with addresses, masquerading,
//! published ports and isolation in one call. See docs/cni.md.
//!
//! | part | modules |
//! |---|---|
//! | the protocol | `call` (variables), `config` (with `fields`, `port_mapping`), `result`, `failure`, `version` |
//! | the commands | `add`, `del`, `check`, `gc`, `status` |
//! | addresses | `ipam`: delegated or built in |
//! | kernel objects | `host`, `bridge`, `vlan`, `gateway`, `cable`, `filter`, `accept`, `frames`, `ports` (with `waiting`) |
//! | records on disk | `store` (with `files`), by `attachment` |

mod accept;
mod add;
mod attachment;
mod bridge;
mod cable;
mod call;
mod check;
mod config;
mod del;
mod dns;
mod failure;
mod fields;
mod files;
mod filter;
mod frames;
mod gateway;
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
mod waiting;

use std::env;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use call::{Call, Command};
use config::Config;
use failure::{Code, Failure};
use version::Version;

fn main() -> ExitCode {
    let (text, done) = match input() {
        Ok(text) => (text.clone(), run(&text)),
        Err(failure) => (String::new(), Err(failure)),
    };
    let succeeded = done.is_ok();
    let answer = done.unwrap_or_else(|failure| Some(failure.to_json(&version_of(&text))));
    let written = match answer {
        // Print with a single write: the runtime may read at any moment.
        Some(answer) => io::stdout().lock().write_all(format!("{answer:#}\n").as_bytes()),
        None => Ok(()),
    };
    match written {
        Ok(()) if succeeded => return ExitCode::SUCCESS,
        Ok(()) => {}
        Err(error) => {
            eprintln!("netloom-cni: print the result: {error}");
            if succeeded {
                take_back(&text);
            }
        }
    }
    ExitCode::FAILURE
}

fn input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Failure::new(Code::Io, format!("read stdin: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let problem = format!("the network configuration is not JSON: {}", error.utf8_error());
        Failure::new(Code::Decode, problem)
    })
}

/// Removes the attachment if its result could not be printed, because the runtime does not know of
/// it.
fn take_back(text: &str) {
    let undone = || -> Result<(), Failure> {
        let call = Call::read(|name| env::var(name).ok())?;
        if call.command != Command::Add {
            return Ok(());
        }
        let call = Call { command: Command::Del, ..call };
        del::del(&call, &Config::read(text, &call)?)
    };
    if let Err(failure) = undone() {
        eprintln!("netloom-cni: {failure}");
    }
}

/// Runs the command and returns the output to print.
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

/// Returns the version for the answer: that of the configuration, even if it is not supported.
fn version_of(text: &str) -> String {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let said = document["cniVersion"].as_str().filter(|said| !said.is_empty());
    said.unwrap_or(Version::LATEST.name()).to_owned()
}

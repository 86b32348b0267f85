//! A `resolv.conf` as the DNS part of a result.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::failure::Failure;

pub(super) fn read(path: &Path) -> Result<Value, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    Ok(parse(&text))
}

/// Parses the text. The last `domain` line and the last `search` line count, see resolv.conf(5).
fn parse(text: &str) -> Value {
    let mut dns = json!({});
    let mut nameservers = Vec::new();
    let mut options = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let values: Vec<_> = words.collect();
        match (name, values.as_slice()) {
            ("nameserver", [server, ..]) => nameservers.push(*server),
            ("domain", [domain, ..]) => dns["domain"] = json!(domain),
            ("search", [_, ..]) => dns["search"] = json!(values),
            ("options", _) => options.extend(values),
            _ => {}
        }
    }
    if !nameservers.is_empty() {
        dns["nameservers"] = json!(nameservers);
    }
    if !options.is_empty() {
        dns["options"] = json!(options);
    }
    dns
}

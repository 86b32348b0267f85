//! The field `dns`, copied to the result unless it is empty.

use std::net::IpAddr;

use serde_json::Value;

use crate::failure::Failure;
use crate::fields::{Fields, wrong};

/// Reads the `dns` field. An empty field counts as absent, so the answer of `ipam` applies.
pub(crate) fn read(fields: &Fields<'_>) -> Result<Option<Value>, Failure> {
    let Some(dns) = fields.object("dns")? else { return Ok(None) };
    let mut says_anything = dns.text("domain")?.is_some_and(|domain| !domain.is_empty());
    for list in ["nameservers", "search", "options"] {
        let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
        let is_right = |text: &str| list != "nameservers" || is_address(text);
        let expected = if list == "nameservers" { "an address" } else { "a string" };
        for (path, value) in dns.list(list)? {
            if !value.as_str().is_some_and(is_right) {
                return Err(wrong(&path, value, expected));
            }
            says_anything = true;
        }
    }
    Ok(fields.value("dns").filter(|_| says_anything).cloned())
}

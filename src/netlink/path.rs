//! The path of the attribute that an extended acknowledgement points at, from its offset.

use super::schema::{Level, level_of};
use crate::wire::attribute::aligned;
use crate::wire::message::HEADER;

const ATTRIBUTE_HEADER: usize = 4;

/// Returns the path of the attribute that contains `offset`, such as
/// `IFLA_LINKINFO.IFLA_INFO_KIND`.
pub(super) fn at(request: &[u8], offset: usize) -> Option<String> {
    let (path, _) = walk(request, offset)?;
    (!path.is_empty()).then(|| path.join("."))
}

/// Returns the path of a missing attribute of this type: at the top level, or in the nest at
/// `offset`.
pub(super) fn missing(request: &[u8], nest: Option<usize>, kind: u16) -> String {
    let top =
        || message_kind(request).and_then(level_of).map(|(_, level)| (Vec::new(), Some(level)));
    let found = match nest {
        Some(offset) => walk(request, offset),
        None => top(),
    };
    let (mut path, level) = found.unwrap_or_default();
    path.push(name(level, kind));
    path.join(".")
}

fn message_kind(request: &[u8]) -> Option<u16> {
    request.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)
}

/// Returns the names from the top level to the innermost attribute that contains `offset`, and the
/// names inside that attribute.
fn walk(request: &[u8], offset: usize) -> Option<(Vec<String>, Option<&'static Level>)> {
    let (fixed, level) = level_of(message_kind(request)?)?;
    let mut path = Vec::new();
    let mut level = Some(level);
    let mut at = HEADER + fixed;
    let mut end = request.len();
    while at + ATTRIBUTE_HEADER <= end {
        let length = usize::from(u16::from_ne_bytes([request[at], request[at + 1]]));
        let kind = u16::from_ne_bytes([request[at + 2], request[at + 3]]) & 0x3fff;
        if length < ATTRIBUTE_HEADER || at + length > end {
            break;
        }
        if offset >= at + aligned(length) {
            at += aligned(length);
            continue;
        }
        path.push(name(level, kind));
        let nest = level.and_then(|level| level.nest(kind));
        level = nest.map(|(_, level)| level);
        let Some((skip, _)) = nest else { break };
        let inside = at + ATTRIBUTE_HEADER + skip;
        if offset < inside {
            break;
        }
        end = at + length;
        at = inside;
    }
    Some((path, level))
}

fn name(level: Option<&'static Level>, kind: u16) -> String {
    match level.and_then(|level| level.name(kind)) {
        Some(name) => name.to_owned(),
        None => format!("attribute {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attribute::Writer;

    const RTM_NEWLINK: u16 = 16;

    /// `ip link add veth1 type veth peer name veth2`, with the offsets of its attributes.
    fn request() -> Vec<u8> {
        let mut out = vec![0; HEADER + 16];
        out[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        let mut writer = Writer::new(&mut out);
        writer.string(3, "veth1"); // at 32, 12 bytes
        writer.nested(18, |info| {
            info.string(1, "veth"); // at 48, 12 bytes
            info.nested(2, |data| {
                // at 60; the peer at 64, its own header at 68, its name at 84
                data.nested(1, |peer| {
                    peer.u32(0, 0);
                    peer.u32(0, 0);
                    peer.string(3, "veth2");
                });
            });
        });
        out
    }

    #[test]
    fn an_offset_becomes_a_path() {
        let request = request();
        for (offset, path) in [
            (32, "IFLA_IFNAME"),
            (44, "IFLA_LINKINFO"),
            (48, "IFLA_LINKINFO.IFLA_INFO_KIND"),
            (84, "IFLA_LINKINFO.IFLA_INFO_DATA.VETH_INFO_PEER.IFLA_IFNAME"),
        ] {
            assert_eq!(at(&request, offset).as_deref(), Some(path), "{offset}");
        }
        assert_eq!(missing(&request, Some(44), 1), "IFLA_LINKINFO.IFLA_INFO_KIND");
        assert_eq!(missing(&request, None, 3), "IFLA_IFNAME");
    }

    #[test]
    fn no_offset_and_no_cut_makes_it_fail() {
        let request = request();
        for cut in 0..request.len() {
            for offset in 0..120 {
                drop((at(&request[..cut], offset), missing(&request[..cut], Some(offset), 9)));
            }
        }
        assert_eq!(at(&request, 5000), None);
    }
}

//! Several requests in one datagram.

use std::ops::Range;

use super::request::RequestType;
use crate::wire::attribute::Writer;
use crate::wire::message::{HEADER, NLM_F_ACK, NLM_F_ECHO, NLM_F_REQUEST};

/// Requests for one datagram, in order.
///
/// The kernel reports failures without being asked, so only the last request asks for an
/// acknowledgement. Once it arrives, all requests that were not refused are done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Batch {
    /// Creates a batch with capacity for this number of requests and bytes.
    pub(crate) fn with_room(requests: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), starts: Vec::with_capacity(requests) }
    }

    /// Reserves capacity for this number of further bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Adds an rtnetlink request with this fixed header (a multiple of 4 bytes long) and the
    /// attributes that `attributes` writes. Returns the position of the request in the batch.
    pub(crate) fn push(
        &mut self,
        kind: RequestType,
        flags: u16,
        header: &[u8],
        attributes: impl FnOnce(&mut Writer<'_>),
    ) -> usize {
        self.request(kind as u16, flags, |out| {
            out.extend_from_slice(header);
            let mut writer = Writer::new(out);
            attributes(&mut writer);
            // Only names vary in length, and their length was checked before.
            debug_assert!(!writer.overflowed());
        })
    }

    /// Adds a request of this type, whose payload `write` appends. Returns the position of the
    /// request in the batch.
    pub(crate) fn request(
        &mut self,
        kind: u16,
        flags: u16,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        self.append(|out| {
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&kind.to_ne_bytes());
            out.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
            out.extend_from_slice(&[0; HEADER - 8]);
            write(out);
        })
    }

    /// Empties the batch and keeps its capacity.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    /// Returns the payload of the request at position `place`.
    pub(crate) fn payload(&self, place: usize) -> &[u8] {
        self.request_bytes(place).get(HEADER..).unwrap_or_default()
    }

    /// Adds the message that `write` appends, and returns its position in the batch. Fills in the
    /// length of the message; `number` sets its sequence number later.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.starts.push(start);
        self.starts.len() - 1
    }

    /// Adds the requests at these positions of another batch.
    pub(crate) fn copy(&mut self, other: &Self, places: Range<usize>) {
        let Some(&start) = other.starts.get(places.start) else { return };
        let end = other.starts.get(places.end).copied().unwrap_or(other.bytes.len());
        let (moved, starts) = (self.bytes.len(), other.starts.get(places).unwrap_or_default());
        self.starts.extend(starts.iter().map(|old| moved + old - start));
        self.bytes.extend_from_slice(other.bytes.get(start..end).unwrap_or_default());
    }

    /// Overwrites the bytes from offset `at` on.
    pub(crate) fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        if let Some(there) = self.bytes.get_mut(at..at + bytes.len()) {
            there.copy_from_slice(bytes);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Asks for an acknowledgement of the request at position `place`.
    pub(super) fn acknowledge(&mut self, place: usize) {
        if let Some(&start) = self.starts.get(place) {
            let flags = u16::from_ne_bytes([self.bytes[start + 6], self.bytes[start + 7]]);
            self.bytes[start + 6..start + 8].copy_from_slice(&(flags | NLM_F_ACK).to_ne_bytes());
        }
    }

    /// Reports whether a request asks for an echo.
    pub(crate) fn asks_for_echo(&self) -> bool {
        let flags =
            |&start: &usize| u16::from_ne_bytes([self.bytes[start + 6], self.bytes[start + 7]]);
        self.starts.iter().any(|start| flags(start) & NLM_F_ECHO != 0)
    }

    /// Gives the requests consecutive sequence numbers, starting at `first`.
    pub(super) fn number(&mut self, first: u32) {
        let mut sequence = first;
        for &start in &self.starts {
            self.bytes[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes of the request at position `place`, header included.
    pub(super) fn request_bytes(&self, place: usize) -> &[u8] {
        let Some(&start) = self.starts.get(place) else { return &[] };
        let end = self.starts.get(place + 1).copied().unwrap_or(self.bytes.len());
        &self.bytes[Range { start, end }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::messages;

    #[test]
    fn requests_are_numbered_and_only_the_one_asked_for_is_acknowledged() {
        let mut batch = Batch::default();
        for _ in 0..3 {
            batch.push(RequestType::GetLink, 0, &[0; 16], |_| ());
        }
        batch.number(u32::MAX);
        batch.acknowledge(2);
        let read: Vec<_> = messages(batch.bytes()).map(|m| (m.kind, m.sequence, m.flags)).collect();
        assert_eq!(read, [(18, u32::MAX, 1), (18, 0, 1), (18, 1, 5)]);
        assert_eq!(batch.request_bytes(1).len(), 32);
        assert_eq!(batch.request_bytes(3), [0; 0]);
    }
}

//! An rtnetlink request.

use crate::wire::attribute::Writer;

/// The type of a request, by its number in `include/uapi/linux/rtnetlink.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum RequestType {
    NewLink = 16,
    DelLink = 17,
    GetLink = 18,
    SetLink = 19,
    NewAddress = 20,
    DelAddress = 21,
    GetAddress = 22,
    GetRoute = 26,
    GetNeighbor = 30,
    NewNsId = 88,
    GetNsId = 90,
}

/// A request: the header of its type, and attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteRequest {
    pub(super) kind: RequestType,
    pub(super) payload: Vec<u8>,
}

impl RouteRequest {
    /// Builds a request of this header, which is aligned to 4, and what `attributes` writes.
    pub(crate) fn new(
        kind: RequestType,
        header: &[u8],
        attributes: impl FnOnce(&mut Writer<'_>),
    ) -> Self {
        let mut payload = header.to_vec();
        let mut writer = Writer::new(&mut payload);
        attributes(&mut writer);
        // Names are checked before, and all else has a fixed size.
        debug_assert!(!writer.overflowed());
        Self { kind, payload }
    }

    /// Builds a request of a payload that is written already.
    pub(crate) fn of(kind: RequestType, payload: Vec<u8>) -> Self {
        Self { kind, payload }
    }

    #[cfg(test)]
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

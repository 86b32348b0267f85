//! The rtnetlink requests that netloom makes.

use netlink_packet_core::Emitable;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::nsid::NsidMessage;
use netlink_packet_route::route::RouteMessage;

/// A request, by what rtnetlink(7) calls it.
///
/// packet-route's own enum knows every message there is, and takes the code of all along (traffic control,
/// rules): a tenth of a small program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RouteRequest {
    NewLink(LinkMessage),
    SetLink(LinkMessage),
    DelLink(LinkMessage),
    GetLink(LinkMessage),
    NewAddress(AddressMessage),
    DelAddress(AddressMessage),
    GetAddress(AddressMessage),
    GetRoute(RouteMessage),
    GetNeighbour(NeighbourMessage),
    NewNsId(NsidMessage),
    GetNsId(NsidMessage),
}

impl RouteRequest {
    /// Its number, as include/uapi/linux/rtnetlink.h has it.
    pub(super) fn kind(&self) -> u16 {
        self.parts().0
    }

    fn parts(&self) -> (u16, &dyn Emitable) {
        match self {
            Self::NewLink(message) => (16, message),
            Self::DelLink(message) => (17, message),
            Self::GetLink(message) => (18, message),
            Self::SetLink(message) => (19, message),
            Self::NewAddress(message) => (20, message),
            Self::DelAddress(message) => (21, message),
            Self::GetAddress(message) => (22, message),
            Self::GetRoute(message) => (26, message),
            Self::GetNeighbour(message) => (30, message),
            Self::NewNsId(message) => (88, message),
            Self::GetNsId(message) => (90, message),
        }
    }
}

/// What goes behind the header of every message.
impl Emitable for RouteRequest {
    fn buffer_len(&self) -> usize {
        self.parts().1.buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.parts().1.emit(buffer);
    }
}

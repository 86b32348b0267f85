//! The types of rtnetlink requests.

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
    NewRule = 32,
    DelRule = 33,
    GetRule = 34,
    NewNsId = 88,
    GetNsId = 90,
}

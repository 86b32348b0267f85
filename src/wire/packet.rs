//! The connection to netlink-packet-core. Attributes of netlink-packet-route are read and written
//! one by one, so that one invalid attribute never costs the rest of its message.

use netlink_packet_core::{Emitable, NlaBuffer, NlasIterator, Parseable, ParseableParametrized};

use super::attribute::{Attributes, Writer};

/// An attribute of netlink-packet-route, or the bytes that it can't read. The bytes are the whole
/// attribute with its header, or empty if the level is truncated.
pub(crate) type Parsed<'a, A> = Result<A, &'a [u8]>;

impl<'a> Attributes<'a> {
    /// Parses each attribute as an `A`.
    pub(crate) fn parse<A>(self) -> impl Iterator<Item = Parsed<'a, A>>
    where
        A: Parseable<NlaBuffer<&'a [u8]>>,
    {
        self.parse_by(A::parse)
    }

    /// Parses each attribute as an `A`, whose layout depends on `param` (a family or a kind).
    pub(crate) fn parse_with<A, P>(self, param: P) -> impl Iterator<Item = Parsed<'a, A>>
    where
        A: ParseableParametrized<NlaBuffer<&'a [u8]>, P>,
        P: Clone,
    {
        self.parse_by(move |attribute| A::parse_with_param(attribute, param.clone()))
    }

    fn parse_by<A, E>(
        self,
        parse: impl Fn(&NlaBuffer<&'a [u8]>) -> Result<A, E>,
    ) -> impl Iterator<Item = Parsed<'a, A>> {
        NlasIterator::new(self.bytes()).map(move |read| {
            let attribute = read.map_err(|_cut| &[][..])?;
            let length = usize::from(attribute.length());
            parse(&attribute)
                .map_err(|_error| attribute.into_inner().get(..length).unwrap_or_default())
        })
    }
}

impl Writer<'_> {
    /// Appends attributes of netlink-packet-route. Attributes that exceed the 16-bit length are
    /// left out and reported by `overflowed`, because netlink-packet-core would wrap the length or
    /// panic.
    pub(crate) fn emit(&mut self, attributes: &impl Emitable) {
        match attributes.buffer_len() {
            length if length > usize::from(u16::MAX) => self.overflow(),
            length => self.zeroed(length, |room| attributes.emit(room)),
        }
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DefaultNla;
    use netlink_packet_route::AddressFamily;
    use netlink_packet_route::address::AddressAttribute;
    use netlink_packet_route::neighbour::NeighbourAttribute;

    use super::*;

    #[test]
    fn one_odd_attribute_costs_nothing_but_itself() {
        let bytes = [
            8, 0, 1, 0, 10, 0, 0, 1, // IFA_ADDRESS
            6, 0, 2, 0, 10, 0, 0, 0, // IFA_LOCAL of 2 bytes
            5, 0, 11, 0, 78, 0, 0, 0, // IFA_PROTO
            9, 0, 3, 0, 1, // cut
        ];
        let read: Vec<_> = Attributes::new(&bytes).parse::<AddressAttribute>().collect();
        let address = AddressAttribute::Address([10, 0, 0, 1].into());
        let protocol = AddressAttribute::Protocol(78.into());
        assert_eq!(read, [Ok(address), Err(&bytes[8..14]), Ok(protocol), Err(&[][..])]);
    }

    #[test]
    fn an_attribute_is_read_by_its_family() {
        let bytes = [8, 0, 1, 0, 10, 0, 0, 1];
        let read = |family| {
            let mut read = Attributes::new(&bytes).parse_with::<NeighbourAttribute, _>(family);
            read.next()
        };
        let address = NeighbourAttribute::Destination(std::net::Ipv4Addr::new(10, 0, 0, 1).into());
        assert_eq!(read(AddressFamily::Inet), Some(Ok(address)));
        assert_eq!(read(AddressFamily::Inet6), Some(Err(&bytes[..])));
    }

    #[test]
    fn what_is_emitted_follows_what_was_written() {
        let mut out = vec![0xff; 4];
        let mut writer = Writer::new(&mut out);
        writer.emit(&AddressAttribute::Label("eth0".into()));
        writer.u8(9, 7);
        assert!(!writer.overflowed());
        let label = [9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0];
        assert_eq!(out[4..16], label);
        assert_eq!(out[16..], [5, 0, 9, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn an_attribute_longer_than_its_length_field_is_refused_before_it_is_emitted() {
        for (length, fits) in [(65_528, true), (65_532, false), (65_536, false), (70_000, false)] {
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out);
            writer.emit(&DefaultNla::new(1, vec![1; length]));
            assert_eq!(writer.overflowed(), !fits, "{length}");
            assert_eq!(out.len(), if fits { length + 4 } else { 0 });
        }
    }
}

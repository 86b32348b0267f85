//! An index of a message's attributes by type, for the views of links and routes. One pass builds
//! it.

use super::attribute::{Attribute, Attributes};

/// The attributes of a message with types below `N`. If a type is repeated, the last attribute
/// counts.
///
/// An entry of `places` is the attribute's offset divided by 4, plus 1; 0 means that the attribute
/// is absent. Slices instead of offsets would make a view expensive to move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Indexed<'a, const N: usize> {
    attributes: Attributes<'a>,
    places: [u16; N],
}

impl<'a, const N: usize> Indexed<'a, N> {
    #[inline]
    pub(super) fn new(attributes: Attributes<'a>) -> Self {
        let bytes = attributes.bytes();
        let (mut places, mut at) = ([0; N], 0);
        while let Some(attribute) = bytes.get(at..).and_then(Attribute::first) {
            if let Some(place) = places.get_mut(usize::from(attribute.kind)) {
                // Never fails: no datagram is that long.
                *place = u16::try_from(at / 4 + 1).unwrap_or(0);
            }
            at += attribute.length();
        }
        Self { attributes, places }
    }

    /// Returns all attributes, in order.
    pub(super) fn all(&self) -> Attributes<'a> {
        self.attributes
    }

    #[inline]
    pub(super) fn get(&self, kind: u16) -> Option<Attribute<'a>> {
        let place = self.places.get(usize::from(kind))?.checked_sub(1)?;
        Attribute::first(self.attributes.bytes().get(usize::from(place) * 4..)?)
    }

    #[inline]
    pub(super) fn u32(&self, kind: u16) -> Option<u32> {
        self.get(kind)?.u32()
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Writer;
    use super::*;

    #[test]
    fn the_last_attribute_of_a_type_is_found_and_no_cut_makes_it_fail() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.u8(1, 7);
        writer.u32(2, 8);
        writer.u32(3, 9);
        writer.u8(1, 6);
        let found = Indexed::<3>::new(Attributes::new(&bytes));
        assert_eq!(found.get(1).and_then(Attribute::u8), Some(6));
        assert_eq!((found.get(0), found.u32(2), found.u32(3)), (None, Some(8), None));
        for cut in 0..bytes.len() {
            let found = Indexed::<3>::new(Attributes::new(&bytes[..cut]));
            assert_eq!(found.u32(2), (cut >= 16).then_some(8), "{cut}");
        }
    }
}

//! Encodes sets and maps as messages, and decodes their types.

use super::interval::{DataKind, Shape};
use super::types::{Type, total};
use crate::wire::nft::datatype::DataType;
use crate::wire::nft::set::{FieldLength, Set, SetFlags};
use crate::wire::nft::userdata::{ByteOrder, UserData};

/// The maximum number of fields in a concatenation: their types share 32 bits, 6 bits each.
const MOST_PARTS: usize = 5;

/// Encodes the message that creates a set with these types.
pub(crate) fn set_message(table: &str, name: &str, shape: &Shape, id: u32) -> Result<Set, String> {
    let mut flags = SetFlags::empty();
    flags.set(SetFlags::INTERVAL, shape.interval);
    flags.set(SetFlags::TIMEOUT, shape.timeout);
    let is_of_objects = matches!(shape.data, Some(DataKind::Object(_)));
    flags.set(SetFlags::MAP, shape.data.is_some() && !is_of_objects);
    flags.set(SetFlags::OBJECT, is_of_objects);
    if shape.interval
        && let [kind] = shape.key.as_slice()
        && kind.is_in_host_order()
    {
        return Err(format!("there are no intervals of {kind}"));
    }
    let mut set = Set {
        flags: None,
        id: Some(id),
        key_type: Some(numbers(&shape.key)?),
        key_len: Some(shape.key_len()),
        userdata: Some(userdata(shape)),
        ..Set::by_name(table, name)
    };
    if shape.interval && shape.is_concat() {
        flags |= SetFlags::CONCAT;
        set.desc.fields = shape.key.iter().map(|kind| FieldLength { length: kind.len() }).collect();
    }
    set.flags = Some(flags);
    match &shape.data {
        None => {}
        Some(DataKind::Object(kind)) => set.object_type = Some(*kind),
        Some(DataKind::Verdict) => {
            set.data_type = Some(DataType::VERDICT);
            // `nft` sends the length of its own structure; the kernel ignores it.
            set.data_len = Some(0);
        }
        Some(DataKind::Values(types)) => {
            set.data_type = Some(numbers(types)?);
            set.data_len = Some(total(types));
        }
    }
    Ok(set)
}

/// Returns the types and features of a listed set.
pub(crate) fn shape_of(set: &Set) -> Shape {
    let flags = set.flags.unwrap_or_default();
    let key_type = set.key_type.unwrap_or(DataType(0));
    let data = match set.data_type {
        _ if flags.contains(SetFlags::OBJECT) => set.object_type.map(DataKind::Object),
        _ if !flags.contains(SetFlags::MAP) => None,
        Some(DataType::VERDICT) => Some(DataKind::Verdict),
        Some(number) => {
            Some(DataKind::Values(Type::all_from(number, set.data_len.unwrap_or_default())))
        }
        None => None,
    };
    let key_len = set.key_len.unwrap_or_default();
    let mut key = Type::all_from(key_type, key_len);
    let order = set.userdata.as_ref().and_then(UserData::key_byte_order);
    // An integer in network byte order, such as a packet's, is another type than [`Type::Number`].
    if key == [Type::Number] && order != Some(ByteOrder::Host) {
        key = vec![Type::Other { number: key_type.0, length: key_len }];
    }
    Shape {
        key,
        data,
        interval: flags.contains(SetFlags::INTERVAL),
        timeout: flags.contains(SetFlags::TIMEOUT),
    }
}

fn numbers(types: &[Type]) -> Result<DataType, String> {
    match types {
        [] => Err("the set has no type".into()),
        [one] => Ok(one.data_type()),
        many if many.len() > MOST_PARTS => {
            Err(format!("a concatenation has {MOST_PARTS} parts at most"))
        }
        many => {
            let numbers = many.iter().map(|kind| kind.data_type());
            DataType::concat(numbers).ok_or_else(|| "these types can't be concatenated".into())
        }
    }
}

/// Returns the userdata that `nft` needs to list the set.
fn userdata(shape: &Shape) -> UserData {
    let order = byte_order(&shape.key);
    let data = match &shape.data {
        Some(DataKind::Values(types)) => UserData::of_map(order, byte_order(types), false),
        Some(DataKind::Verdict) => UserData::of_map(order, ByteOrder::Invalid, false),
        Some(DataKind::Object(_)) | None => UserData::of_set(order),
    };
    // A `typeof` expression, because `nft` has no name for the type of a number.
    if shape.key == [Type::Number] { data.with_key_of_numgen() } else { data }
}

fn byte_order(types: &[Type]) -> ByteOrder {
    match types {
        [one] => one.byte_order(),
        _ => ByteOrder::Invalid,
    }
}

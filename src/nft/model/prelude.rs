//! The imports of every statement.

pub(crate) use std::fmt;
pub(crate) use std::net::IpAddr;

pub(crate) use super::constant::{Constant, Interval};
pub(crate) use super::context::Context;
pub(crate) use super::device::Device;
pub(crate) use super::display::{self, Over};
pub(crate) use super::element::{Element, join};
pub(crate) use super::encoder::Encoder;
pub(crate) use super::family::Family;
pub(crate) use super::field::Field;
pub(crate) use super::interval::DataKind;
pub(crate) use super::network::Network;
pub(crate) use super::reader::Reader;
pub(crate) use super::rule::Rule;
pub(crate) use super::set_ref::MapLookup;
pub(crate) use super::statement::{Statement, one_expression};
pub(crate) use crate::link::LinkRef;
pub(crate) use crate::wire::nft::expr::Expr;
pub(crate) use crate::wire::nft::expr::lookup::Lookup;
pub(crate) use crate::wire::nft::register::Register::{self, R1};

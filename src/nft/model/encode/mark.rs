//! Marks that rules set, as expressions.

use super::Encoder;
use crate::nft::model::field::Field;
use crate::nft::model::part::Part;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::ct::{Ct, CtKey};
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::register::Register::R1;

impl Encoder<'_> {
    /// One of those parts; the others are nothing here.
    pub(super) fn marking(&mut self, part: &Part) -> Result<(), String> {
        match part {
            Part::MarkFrom { is_ct, number } => {
                self.load(&[Field::Numgen(*number)])?;
                if *is_ct {
                    self.push(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None });
                } else {
                    self.push(Meta::Set { sreg: R1, key: MetaKey::Mark });
                }
            }
            Part::SetMark(mark) => {
                self.push(Immediate::value(R1, Value::host_u32(*mark)));
                self.push(Meta::Set { sreg: R1, key: MetaKey::Mark });
            }
            Part::SetCtMark(mark) => {
                self.push(Immediate::value(R1, Value::host_u32(*mark)));
                self.push(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None });
            }
            Part::SaveMark => {
                self.push(Meta::Load { dreg: R1, key: MetaKey::Mark });
                self.push(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None });
            }
            Part::RestoreMark => {
                self.push(Ct::Load { dreg: R1, key: CtKey::Mark, direction: None });
                self.push(Meta::Set { sreg: R1, key: MetaKey::Mark });
            }
            _ => {}
        }
        Ok(())
    }
}

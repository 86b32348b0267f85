//! The offload of a connection to a flowtable: `flow add @NAME`.

use crate::nft::model::family::Family;
use crate::nft::model::prelude::*;
use crate::wire::nft::expr::flow_offload::FlowOffload;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlowAdd(String);

impl Rule {
    /// Adds the connection to a flowtable of the table, whose packets bypass the rules: `flow add @NAME`. In a
    /// chain at the hook forward. [`Flowtable`](crate::nft::Flowtable).
    #[doc(alias("flow offload", "FLOWOFFLOAD"))]
    pub fn flow_add(mut self, flowtable: &str) -> Self {
        self.check_name("flow_add", flowtable);
        self.with(FlowAdd(flowtable.to_owned()))
    }
}

impl Statement for FlowAdd {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        encoder.push(FlowOffload { flowtable: self.0.clone() });
        Ok(())
    }

    fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::FlowOffload(flow) = expr else { return None };
        Some(Self(flow.flowtable.clone()))
    }

    fn check(&self, context: Context) -> Result<(), String> {
        match context.family {
            Family::Ip | Family::Ip6 | Family::Inet => Ok(()),
            family => Err(format!("the family {family} has no flowtables")),
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flow add @{}", self.0)
    }
}

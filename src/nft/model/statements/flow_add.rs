//! The offload of a connection to a flowtable: `flow add @NAME`.

use crate::nft::model::prelude::*;
pub(super) use crate::wire::nft::expr::flow_offload::FlowOffload;

impl Rule {
    /// Adds the connection to a [`Flowtable`](crate::nft::Flowtable) of the table: its packets
    /// bypass the rules from then on: `flow add @NAME`. In a chain at the hook forward.
    #[doc(alias("flow offload", "FLOWOFFLOAD"))]
    pub fn flow_add(mut self, flowtable: &str) -> Self {
        self.check_name("flow_add", flowtable);
        self.with(FlowOffload { flowtable: flowtable.to_owned() })
    }
}

impl Statement for FlowOffload {
    one_expression!(self => self.clone(), Expr::FlowOffload(flow) => Some(flow.clone()));

    fn check(&self, context: Context) -> Result<(), String> {
        match context.family {
            Family::Ip | Family::Ip6 | Family::Inet => Ok(()),
            family => Err(format!("the family {family} has no flowtables")),
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flow add @{}", self.flowtable)
    }
}

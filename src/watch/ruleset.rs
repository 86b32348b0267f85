//! The generation of the `nf_tables` ruleset.

use super::event::{Event, RulesetChange};
use super::model::Model;
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::Generation;
use crate::wire::message::Message;
use crate::wire::nft::codec::Codec;
use crate::wire::nft::generation as wire;
use crate::wire::nft::message::{self, MessageType};

/// The known generation, and a newly read generation until it is complete.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    known: Option<Generation>,
    listed: Option<Generation>,
}

impl Model for Ruleset {
    fn list(&mut self, netns: &Netns, _is_first: bool) -> Result<(), Error> {
        self.listed = Some(netns.nft_generation()?);
        Ok(())
    }

    fn take(&mut self, message: Message<'_>, events: &mut Vec<Event>) {
        if message.kind != MessageType::NewGeneration.nlmsg_type() {
            return;
        }
        let read = message::Message::decode(message.kind, message.payload);
        let Some(change) = read.and_then(|read| wire::Generation::decode(read.attributes)) else {
            return;
        };
        let new = Generation(change.id);
        if let Some(listed) = &mut self.listed {
            *listed = new;
        } else if self.known != Some(new) {
            let old = self.known.replace(new);
            let (process, process_name) = (change.process, change.process_name);
            events.push(Event::Ruleset(RulesetChange { old, new, process, process_name }));
        }
    }

    fn complete(&mut self, _is_first: bool, events: &mut Vec<Event>) {
        let Some(new) = self.listed.take() else { return };
        if self.known != Some(new) {
            let old = self.known.replace(new);
            events.push(Event::Ruleset(RulesetChange {
                old,
                new,
                process: None,
                process_name: None,
            }));
        }
    }

    fn abandon(&mut self) {
        self.listed = None;
    }
}

//! Drops packets from a set of addresses that changes without touching the rule.

use netloom::nft::{Chain, Family, Field, Hook, Priority, Rule, Set, Table, Type};
use netloom::{Error, Namespace};

fn main() -> Result<(), Error> {
    netloom::sandbox::enter()?;

    let host = Namespace::anonymous().create()?;
    let drop_blocked = Rule::new().in_set([Field::Ip4Source], "blocked").counter().drop();
    let table = Table::new(Family::Inet, "guard")
        .set(Set::new("blocked", Type::Ipv4).interval())
        .chain(Chain::new("in").hook(Hook::Input, Priority::FILTER).rule(drop_blocked))
        .create(&host)?;

    let blocked = table.set("blocked")?;
    blocked.add(["203.0.113.0/24", "198.51.100.7"])?;
    println!("203.0.113.9 is blocked: {}", blocked.contains("203.0.113.9")?);
    blocked.remove(["198.51.100.7"])?;
    println!("198.51.100.7 is blocked: {}", blocked.contains("198.51.100.7")?);
    println!("the set holds {} element", table.read()?.sets[0].elements.len());
    Ok(())
}

//! Writes the seeds: this kernel's answers to each question, in a namespace with objects of every
//! kind and in an empty one.
//!
//!     tools/fuzz seeds

use std::error::Error;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use netloom::nft::{
    Chain, Constant, Element, Family, Hook, Map, Object, Priority, Rule, Set, Table, Type,
};
use netloom::{
    Address, Bridge, Firewall, Forwarding, Namespace, NatRule, Netns, Owned, PortForward,
    PortGuard, Route, VethEnd, VethPair,
};
use netloom_fuzz::{
    ACKNOWLEDGEMENTS, CONNTRACK, NF_TABLES, Question, RTNETLINK, SOCK_DIAG, forget,
};

const RULESET: &str = include_str!("../../../src/wire/nft/testdata/ruleset.nft");
const EXPRESSIONS: &str = include_str!("../../../src/wire/nft/testdata/listed.hex");
/// VLAN 1 (PVID, untagged) and 20 to 29 of link 3, as Linux 6.12 lists them.
const VLANS: &[u8] = &[
    7, 0, 0, 0, 3, 0, 0, 0, // of bridges, link 3
    20, 0, 1, 128, 8, 0, 1, 0, 6, 0, 1, 0, 5, 0, 3, 0, 3, 0, 0, 0, // 1, with its state
    28, 0, 1, 128, 8, 0, 1, 0, 0, 0, 20, 0, 6, 0, 2, 0, 29, 0, 0, 0, 5, 0, 3, 0, 3, 0, 0, 0,
];
/// The maximum length of a seed. Mutations of longer seeds find less.
const LONGEST: usize = 40_000;

fn main() -> Result<(), Box<dyn Error>> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let empty: Owned<Netns> = Namespace::anonymous().create()?;
    let host = Namespace::anonymous().create()?;
    let _furnished = furnish(&host)?;
    for (target, questions) in [
        ("rtnetlink", RTNETLINK),
        ("nf_tables", NF_TABLES),
        ("acknowledgements", ACKNOWLEDGEMENTS),
        ("conntrack", CONNTRACK),
        ("sock_diag", SOCK_DIAG),
    ] {
        let directory = seeds.join(target);
        drop(fs::remove_dir_all(&directory));
        fs::create_dir_all(&directory)?;
        for (number, question) in (0_u8..).zip(questions) {
            // Answers of a full namespace are longer, and an empty namespace refuses fewer
            // requests.
            for (netns, which) in [(&*host, "full"), (&*empty, "empty")] {
                let script = asked(netns, question);
                let seed = [&[number], script.as_slice()].concat();
                if seed.len() <= LONGEST {
                    fs::write(directory.join(format!("{}-{which}", question.name)), seed)?;
                }
            }
        }
    }
    let number = RTNETLINK.iter().position(|question| question.name == "vlans");
    let seed = [&[u8::try_from(number.ok_or("no question of VLANs")?)?], &vlans(&host)?[..]];
    fs::write(seeds.join("rtnetlink/vlans-listed"), seed.concat())?;
    codec(&seeds.join("nf_tables_codec"), &host)?;
    Ok(())
}

/// Returns the answer of a kernel with VLANs in bridges. The local kernel may lack them.
fn vlans(host: &Netns) -> Result<Vec<u8>, Box<dyn Error>> {
    const RTM_NEWVLAN: u16 = 112;
    const NLMSG_DONE: u16 = 3;
    const NLM_F_MULTI: u16 = 2;
    let (_, link) = netloom::fuzzing::recorded(|| host.link("port1"));
    let message = |kind: u16, payload: &[u8]| -> Result<Vec<u8>, Box<dyn Error>> {
        let length = u32::try_from(16 + payload.len())?.to_ne_bytes();
        let header = [&length[..], &kind.to_ne_bytes(), &NLM_F_MULTI.to_ne_bytes(), &[0; 8]];
        Ok([&header.concat(), payload].concat())
    };
    let listed = [message(RTM_NEWVLAN, VLANS)?, message(NLMSG_DONE, &[0; 4])?].concat();
    Ok([&link[..], &u16::try_from(listed.len())?.to_le_bytes(), &listed].concat())
}

fn asked(netns: &Netns, question: &Question) -> Vec<u8> {
    forget(netns);
    let (answer, script) = netloom::fuzzing::recorded(|| (question.ask)(netns));
    eprintln!("{}: {} bytes, {:.60}", question.name, script.len(), answer);
    script
}

/// Messages of each kind, and lists of expressions.
fn codec(directory: &Path, host: &Netns) -> Result<(), Box<dyn Error>> {
    drop(fs::remove_dir_all(directory));
    fs::create_dir_all(directory)?;
    let messages = netloom::fuzzing::messages_of(&asked(host, &NF_TABLES[0]));
    let mut rest = messages.as_slice();
    let mut number = 0;
    while rest.len() >= 16 {
        let length = usize::try_from(u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]))?;
        let padded = length.next_multiple_of(4).min(rest.len());
        let kind = rest[4];
        // Keeps the first messages, and all long or rare ones.
        if rest[5] == 10 && (number < 12 || length > 400 || kind > 8) {
            let seed = [&[1], &rest[..padded]].concat();
            fs::write(directory.join(format!("message-{kind}-{number}")), seed)?;
        }
        number += 1;
        rest = &rest[padded..];
    }
    let lines: Vec<&str> = EXPRESSIONS.lines().collect();
    for (number, some) in lines.chunks(12).enumerate() {
        let digits: String = some.concat().split_whitespace().collect();
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16);
        let bytes: Result<Vec<u8>, _> = (0..digits.len()).step_by(2).map(byte).collect();
        fs::write(directory.join(format!("expressions-{number}")), [&[0], &bytes?[..]].concat())?;
    }
    Ok(())
}

/// Creates objects of every kind. The returned value owns them.
fn furnish(host: &Netns) -> Result<Box<dyn std::any::Any>, Box<dyn Error>> {
    let red = Namespace::anonymous().create()?;
    host.link("lo")?.set_up()?;
    let bridge = Bridge::new("br0").address("10.0.0.1/24").address("fd00::1/64").up();
    let bridge = bridge.create(host)?;
    let port = VethEnd::new("port1").master(&bridge).up();
    let eth0 = VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").up();
    let cable = VethPair::new(port, eth0).create_between(host, &red)?;
    let address = Address::new("10.0.9.1/32").create(&bridge)?;
    let route = Route::new("10.9.0.0/16").via("10.0.0.2").metric(7).create(host)?;
    let forwarding = Forwarding::ipv4().create(host)?;
    let nat = NatRule::masquerade().source("10.0.0.0/24").create(host)?;
    let tagged = NatRule::masquerade().source("10.0.0.0/24").persistent("lab").create(host)?;
    let port = PortForward::new(8080, "10.0.0.2").target_port(80).create(host)?;
    red.ping("10.0.0.1")?;
    // Some exchanges, so that there are connections to list.
    let listening = host.run(|| UdpSocket::bind("10.0.0.1:53"))??;
    let tcp = host.run(|| std::net::TcpListener::bind("10.0.0.1:80"))??;
    let asking = red.run(|| UdpSocket::bind("10.0.0.2:0"))??;
    asking.send_to(b"?", "10.0.0.1:53")?;
    let connected = red.run(|| std::net::TcpStream::connect("10.0.0.1:80"))??;
    // Objects for which netloom has no builders are created by nft.
    let mut nft = host.command("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped());
    if Command::new("nft").arg("--version").output().is_ok() {
        let path = std::env::temp_dir().join(format!("netloom-fuzz-{}.nft", std::process::id()));
        fs::write(&path, RULESET)?;
        let status = host.command("nft").arg("-f").arg(&path).status()?;
        fs::remove_file(&path)?;
        if !status.success() {
            eprintln!("nft loaded only a part of the ruleset");
        }
    }
    let links = (red, bridge, cable, address, route);
    let rules = (forwarding, nat, tagged, port, persistent(host)?);
    Ok(Box::new((links, rules, listening, tcp, asking, connected)))
}

/// Creates persistent objects.
fn persistent(host: &Netns) -> Result<Box<dyn std::any::Any>, Box<dyn Error>> {
    let target = Constant::Address(std::net::Ipv4Addr::new(10, 0, 0, 2).into());
    let input = Chain::new("input").hook(Hook::Input, Priority::FILTER);
    let table = Table::new(Family::Inet, "lab")
        .persistent("lab")
        .object(Object::counter("hits"))
        .set(Set::new("ports", Type::Port).element(22_u16))
        .map(Map::new("hosts", Type::Port, Type::Ipv4).element(Element::new(80_u16).value(target)))
        .chain(input.rule(Rule::new().tcp().dport(22).counter().accept()));
    let table = table.create(host)?;
    let guard = PortGuard::new("port1").address("10.0.0.2");
    let firewall = Firewall::new().network("br0").port(guard).persistent("lab").create(host)?;
    let ports = [
        PortForward::new(8443, "10.0.0.2").target_port(443).persistent("lab"),
        PortForward::new(9000..=9009, "10.0.0.2").udp().persistent("lab"),
        PortForward::new(8081, "10.0.0.2").host_address("127.0.0.1").persistent("other"),
        PortForward::new(8443, "fd00::2").link("br0").persistent("lab"),
    ];
    let ports = PortForward::create_all(&ports, host)?;
    Ok(Box::new((table, firewall, ports)))
}

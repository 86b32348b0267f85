//! Sets with intervals: random changes and lookups compared with a model, and with packets.
//!
//! `NETLOOM_TEST_ROUNDS=500` does 10,000 operations on each kind of set. The default is 200.

use std::env;
use std::net::UdpSocket;

use netloom::nft::{
    Chain, Constant, Element, Family, Field, Hook, Interval, Map, Priority, Rule, Set, SetHandle,
    SetOrMap, Table, Transaction, Type, Verdict,
};
use netloom::{Namespace, Netns, Owned};

use crate::golden::load;
use crate::support::{self, Place, nft};

/// The number of ports in the model: the lowest and the highest, so that intervals may be open at
/// either end.
const POINTS: u16 = 24;

fn port(point: u16) -> u16 {
    if point < POINTS / 2 { point } else { u16::MAX - (POINTS - 1 - point) }
}

/// The keys from one port to another, both included.
type Range = (u16, u16);

fn holds(outer: Range, inner: Range) -> bool {
    outer.0 <= inner.0 && inner.1 <= outer.1
}

fn overlap(a: Range, b: Range) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

/// An element of the model: a range, or two for a concatenation, and the data of a map's element.
#[derive(Debug, Clone, PartialEq)]
struct Item {
    key: Vec<Range>,
    drops: Option<bool>,
}

impl Item {
    fn holds(&self, key: &[Range]) -> bool {
        self.key.iter().zip(key).all(|(mine, other)| holds(*mine, *other))
    }

    /// Returns whether the kernel refuses to have both elements in one set.
    fn is_in_the_way(&self, other: &Self) -> bool {
        if self.key.len() == 1 || self.drops.is_some() {
            return self.key.iter().zip(&other.key).all(|(a, b)| overlap(*a, *b));
        }
        let has_corner = |a: &Self, b: &Self| {
            let corner = |of: fn(&Range) -> u16| -> Vec<Range> {
                b.key.iter().map(|range| (of(range), of(range))).collect()
            };
            a.holds(&corner(|range| range.0)) || a.holds(&corner(|range| range.1))
        };
        has_corner(self, other) || has_corner(other, self)
    }

    fn element(&self) -> Element {
        let interval = |range: &Range| Interval::from(range.0..=range.1);
        let element = match self.key.as_slice() {
            [one] => Element::new(interval(one)),
            [one, other] => Element::new((interval(one), interval(other))),
            _ => unreachable!(),
        };
        match self.drops {
            Some(true) => element.verdict(Verdict::Drop),
            Some(false) => element.verdict(Verdict::Accept),
            None => element,
        }
    }
}

/// splitmix64
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }

    fn range(&mut self) -> Range {
        let mut ends = [(); 2].map(|()| u16::try_from(self.below(POINTS.into())).unwrap());
        if self.below(3) == 0 {
            ends[1] = ends[0];
        }
        ends.sort_unstable();
        (port(ends[0]), port(ends[1]))
    }

    fn item(&mut self, kind: Kind) -> Item {
        let fields = if kind == Kind::Concatenations { 2 } else { 1 };
        let drops = (kind == Kind::Verdicts).then(|| self.below(2) == 0);
        Item { key: (0..fields).map(|_| self.range()).collect(), drops }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Keys,
    Verdicts,
    Concatenations,
}

#[derive(Debug, Clone)]
enum Change {
    Add(Vec<Item>),
    Remove(Vec<Item>),
    Flush,
}

/// Applies a change to the model. Returns `None` if the kernel must refuse the change.
fn apply(model: &[Item], change: &Change) -> Option<Vec<Item>> {
    let mut model = model.to_vec();
    match change {
        Change::Flush => model.clear(),
        Change::Add(items) => {
            for item in items {
                if !model.contains(item) {
                    if model.iter().any(|other| other.is_in_the_way(item)) {
                        return None;
                    }
                    model.push(item.clone());
                }
            }
        }
        Change::Remove(items) => {
            for item in items {
                let at = model.iter().position(|other| other.key == item.key)?;
                model.remove(at);
            }
        }
    }
    Some(model)
}

fn random_change(random: &mut Random, model: &[Item], kind: Kind) -> Change {
    let existing = |random: &mut Random| {
        let at = usize::try_from(random.below(model.len().max(1) as u64)).unwrap();
        model.get(at).cloned()
    };
    let mut items = Vec::new();
    for _ in 0..=random.below(2) {
        let known = if random.below(2) == 0 { existing(random) } else { None };
        items.push(known.unwrap_or_else(|| random.item(kind)));
    }
    match random.below(20) {
        0 => Change::Flush,
        1..11 => Change::Add(items),
        _ => Change::Remove(items),
    }
}

fn elements(items: &[Item]) -> Vec<Element> {
    items.iter().map(Item::element).collect()
}

/// Sends the changes in one transaction, and returns whether the kernel accepted them.
fn commit(netns: &Netns, set: &SetHandle, changes: &[Change]) -> bool {
    let mut transaction = Transaction::new(netns);
    for change in changes {
        match change {
            Change::Add(items) => transaction.add_elements(set, elements(items)),
            Change::Remove(items) => transaction.delete_elements(set, elements(items)),
            Change::Flush => transaction.flush_set(set),
        };
    }
    match transaction.commit() {
        Ok(()) => true,
        Err(error) => {
            let error = netloom::Error::from(error);
            let is_expected = error.is_already_exists()
                || error.is_not_found()
                || error.to_string().contains("overlap");
            assert!(is_expected, "{error}");
            false
        }
    }
}

fn listed(set: &SetHandle) -> Vec<Element> {
    let mut listed = set.elements().unwrap();
    listed.sort();
    listed
}

/// Sends a packet to each port, and compares the dropped packets with the model.
fn packets_agree(socket: &UdpSocket, model: &[Item], kind: Kind) {
    for to in (1..POINTS).map(port) {
        let key = vec![(to, to); if kind == Kind::Concatenations { 2 } else { 1 }];
        let is_dropped = model.iter().any(|item| item.holds(&key) && item.drops != Some(false));
        let sent = socket.send_to(b"x", ("127.0.0.1", to));
        // An ICMP error about an earlier packet may come first.
        let sent = sent.or_else(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => socket.send_to(b"x", ("127.0.0.1", to)),
            _ => Err(error),
        });
        assert_eq!(sent.is_err(), is_dropped, "port {to}: {sent:?}, {model:?}");
    }
}

fn make(netns: &Netns, kind: Kind) -> (Owned<netloom::nft::TableHandle>, SetHandle) {
    let fields = [Field::DestinationPort; 2];
    let table = match kind {
        Kind::Keys => Table::new(Family::Inet, "t").set(Set::new("s", Type::Port).interval()),
        Kind::Verdicts => {
            Table::new(Family::Inet, "t").map(Map::verdicts("s", Type::Port).interval())
        }
        Kind::Concatenations => {
            Table::new(Family::Inet, "t").set(Set::new("s", [Type::Port; 2]).interval())
        }
    };
    let rule = match kind {
        Kind::Keys => Rule::new().udp().in_set([fields[0]], "s").drop(),
        Kind::Verdicts => Rule::new().udp().verdict_map([fields[0]], "s"),
        Kind::Concatenations => Rule::new().udp().in_set(fields, "s").drop(),
    };
    let chain = Chain::new("c").hook(Hook::Output, Priority::FILTER).rule(rule);
    let table = table.chain(chain).create(netns).unwrap();
    let set = table.set("s").unwrap();
    (table, set)
}

fn beside_a_model(kind: Kind) {
    let rounds = env::var("NETLOOM_TEST_ROUNDS");
    let rounds: u64 = rounds.map_or(10, |rounds| rounds.parse().unwrap());
    let netns = Namespace::anonymous().create().unwrap();
    netns.link("lo").unwrap().set_up().unwrap();
    let socket = netns.run(|| UdpSocket::bind("127.0.0.1:0")).unwrap().unwrap();
    let (_table, set) = make(&netns, kind);
    let mut random = Random(rounds);
    let mut model = Vec::new();
    for operation in 0..rounds * 20 {
        let mut after = Some(model.clone());
        let mut changes = Vec::new();
        for _ in 0..=random.below(2) * random.below(2) {
            let known = after.as_deref().unwrap_or(&model).to_vec();
            let change = random_change(&mut random, &known, kind);
            after = after.and_then(|model| apply(&model, &change));
            changes.push(change);
        }
        let done = commit(&netns, &set, &changes);
        assert_eq!(done, after.is_some(), "{operation}: {changes:?} on {model:?}");
        model = after.unwrap_or(model);
        let mut expected = elements(&model);
        expected.sort();
        assert_eq!(listed(&set), expected, "{operation}: {changes:?}");
        let key = random.item(kind);
        let found = set.get(Item { drops: None, ..key.clone() }.element()).unwrap();
        let holding: Vec<_> = model.iter().filter(|item| item.holds(&key.key)).collect();
        match &found {
            Some(found) => assert!(
                holding.iter().any(|item| item.element() == *found),
                "{operation}: {found} for {key:?} in {model:?}"
            ),
            None => assert!(holding.is_empty(), "{operation}: {key:?} in {model:?}"),
        }
        if operation % 25 == 0 {
            packets_agree(&socket, &model, kind);
        }
    }
    packets_agree(&socket, &model, kind);
}

#[test]
fn a_set_of_ports_is_as_the_model_says() {
    support::isolated(|| beside_a_model(Kind::Keys));
}

#[test]
fn a_verdict_map_is_as_the_model_says() {
    support::isolated(|| beside_a_model(Kind::Verdicts));
}

#[test]
fn a_set_of_concatenations_is_as_the_model_says() {
    support::isolated(|| beside_a_model(Kind::Concatenations));
}

#[test]
fn an_interval_without_an_end_is_only_changed_whole() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let set = Set::new("s", Type::Port).interval().create(&table).unwrap();
        set.add(["1024-65535"]).unwrap();
        assert!(set.contains("2000").unwrap());
        let error = set.add(["1024"]).unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        assert!(error.to_string().contains("1024-65535 is in the set"), "{error}");
        assert_eq!(set.elements().unwrap(), ["1024-65535".into()]);
        set.remove(["1024-65535"]).unwrap();
        set.add(["1024"]).unwrap();
        let error = set.remove(["1024-65535"]).unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert_eq!(set.elements().unwrap(), ["1024".into()]);
        set.add(["100"]).unwrap();
    });
}

#[test]
fn a_range_is_only_found_in_one_element() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let set = Set::new("s", Type::Port).interval().create(&table).unwrap();
        set.add(["1000-2000", "2500-3000"]).unwrap();
        assert!(!set.contains("1500-2700").unwrap());
        assert_eq!(set.get("1500-1700").unwrap(), Some("1000-2000".into()));
    });
}

#[test]
fn overlaps_within_one_transaction_are_refused() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let mut transaction = Transaction::new(&netns);
        let table = transaction.create_table(&Table::new(Family::Inet, "t"));
        let ports = Set::new("s", Type::Port).interval().element("1024-65535");
        let set = transaction.create_set(&table, &ports); // operation 1
        transaction.add_elements(&set, ["1024"]); // operation 2
        let error = transaction.commit().unwrap_err();
        assert_eq!(error.refused()[0].index, 2);
        assert!(error.refused()[0].error.is_already_exists(), "{error}");
        assert!(netns.nft_ruleset().unwrap().is_empty());
    });
}

#[test]
fn overlapping_prefixes_of_an_anonymous_set_are_merged() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let rule = Rule::new().sources(["10.0.0.0/8", "10.1.0.0/16", "10.255.0.0-11.0.0.9"]).drop();
        let table = Table::new(Family::Ip, "t").chain(Chain::new("c").rule(rule));
        let _table = table.create(&netns).unwrap();
        let listed = netns.nft_ruleset().unwrap().remove(0).chains.remove(0).rules.remove(0);
        assert_eq!(listed.rule.to_string(), "ip saddr { 10.0.0.0-11.0.0.9 } drop");
    });
}

#[test]
fn port_0_is_a_port() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let ports = ["0", "0-1023", "0-65535"];
        let rules = ports.map(|port| Rule::new().tcp().dport(port).drop());
        let chain = rules.clone().into_iter().fold(Chain::new("c"), Chain::rule);
        let sets =
            ports.map(|port| Set::new(format!("s{port}"), Type::Port).interval().element(port));
        let table = sets.into_iter().fold(Table::new(Family::Inet, "t"), Table::set).chain(chain);
        let _table = table.create(&netns).unwrap();
        let listed = netns.nft_ruleset().unwrap().remove(0);
        let read: Vec<_> =
            listed.chains[0].rules.iter().map(|rule| rule.rule.to_string()).collect();
        assert_eq!(read, rules.map(|rule| rule.to_string()));
        let mut read: Vec<_> = listed.sets.into_iter().flat_map(|set| set.elements).collect();
        read.sort();
        let mut expected = ports.map(Element::from);
        expected.sort();
        assert_eq!(read, expected);
    });
}

#[test]
fn intervals_of_marks_are_read_as_nft_stores_them() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let marks =
            "table ip t { set s { type mark; flags interval; elements = { 1, 0x10-0x20 }; }\n }";
        if !load(&netns, marks) {
            return;
        }
        let table = netns.nft_ruleset().unwrap().remove(0);
        assert_eq!(table.sets[0].elements, ["1".into(), "16-32".into()]);
    });
}

#[test]
fn a_set_is_read_with_all_its_settings() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let text = "table ip t {
            set s { type ipv4_addr; flags timeout; policy memory; gc-interval 10s; timeout 1m
                counter; size 5; comment \"c\"; }
            set m { type ipv4_addr; flags interval, constant; auto-merge; }
        }";
        let [s, m] = ["s", "m"].map(|name| Set::new(name, Type::Ipv4));
        let [ten, minute] = [10, 60].map(std::time::Duration::from_secs);
        let s = s.save_memory().gc_interval(ten).timeout(minute).counter().size(5).comment("c");
        let m = m.interval().constant().auto_merge();
        let wanted = [s, m];
        let infos = |netns: &Netns| netns.nft_ruleset().unwrap().remove(0).sets;
        let sets =
            |netns: &Netns| infos(netns).into_iter().map(|info| info.set).collect::<Vec<_>>();
        if load(&netns, text) {
            assert_eq!(sets(&netns), wanted.clone().map(SetOrMap::Set));
        }
        let again = Namespace::anonymous().create().unwrap();
        let table = wanted.clone().into_iter().fold(Table::new(Family::Ip, "t"), Table::set);
        let _table = table.create(&again).unwrap();
        assert_eq!(sets(&again), wanted.map(SetOrMap::Set));
    });
}

#[test]
fn a_set_of_numbers_can_be_loaded_again() {
    support::isolated(|| {
        let [ours, theirs] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        let set = Set::new("s", Type::Number).element(1).element(7);
        let _table = Table::new(Family::Ip, "t").set(set).create(&ours).unwrap();
        let Some(listed) = nft(&Place::of_fd(&*ours), &["list", "ruleset"]) else { return };
        let listed = listed.replace("flags owner", "");
        assert!(load(&theirs, &listed), "{listed}");
        let elements = |netns: &Netns| {
            let mut elements = netns.nft_ruleset().unwrap().remove(0).sets.remove(0).elements;
            elements.sort();
            elements
        };
        assert_eq!(elements(&theirs), elements(&ours));
    });
}

#[test]
fn data_of_another_kind_is_in_the_way() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Ip, "t").create(&netns).unwrap();
        let map = Map::new("m", Type::Ipv4, Type::Port).interval().create(&table).unwrap();
        let element = |port: u16| Element::new("10.0.0.0/24").value(Constant::from(port));
        map.add([element(80)]).unwrap();
        map.add([element(80)]).unwrap();
        assert!(map.add([element(81)]).unwrap_err().is_already_exists());
        assert_eq!(map.elements().unwrap(), [element(80)]);
    });
}

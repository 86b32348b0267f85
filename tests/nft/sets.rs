//! Sets: many elements are added and deleted at once.

use std::net::Ipv4Addr;

use netloom::Namespace;
use netloom::nft::{Element, Family, Map, Set, Table, Type, Verdict};

use crate::support;

const MANY: u32 = 100_000;

fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    (0..MANY).map(|number| Ipv4Addr::from_bits(0x0a00_0000 + number))
}

#[test]
fn a_hundred_thousand_elements_in_one_transaction() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let set = Set::new("s", Type::Ipv4).size(MANY + 1).elements(addresses());
        let _table = Table::new(Family::Inet, "t").set(set).create(&netns).unwrap();
        let table = netns.nft_ruleset().unwrap().remove(0);
        assert_eq!(table.sets[0].elements.len(), 100_000);
    });
}

#[test]
fn a_declared_size_is_kept_to() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let set = Set::new("s", Type::Ipv4).size(2).create(&table).unwrap();
        set.add(["10.0.0.1", "10.0.0.2"]).unwrap();
        let error = set.add(["10.0.0.3"]).unwrap_err();
        assert!(error.to_string().contains("declared size"), "{error}");
        assert_eq!(set.elements().unwrap().len(), 2);
    });
}

#[test]
fn elements_one_by_one() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let set = Set::new("s", Type::Ipv4).interval().create(&table).unwrap();
        set.add(["10.0.0.0/24", "10.0.1.5"]).unwrap();
        assert_eq!(set.get("10.0.0.7").unwrap(), Some("10.0.0.0/24".into()));
        assert_eq!(set.get("10.0.2.7").unwrap(), None);
        assert!(set.add(["10.0.0.128/25"]).unwrap_err().is_already_exists());
        assert!(set.remove(["10.0.3.0/24"]).unwrap_err().is_not_found());
        set.remove(["10.0.0.0/24"]).unwrap();
        assert_eq!(set.elements().unwrap(), ["10.0.1.5".into()]);
        set.flush().unwrap();
        assert_eq!(set.elements().unwrap(), []);
        let map = Map::verdicts("m", [Type::Ipv4, Type::Port]).interval().create(&table).unwrap();
        let element = Element::new(("10.0.0.0/24", "80-90")).verdict(Verdict::Drop);
        map.add([element.clone()]).unwrap();
        assert_eq!(map.elements().unwrap(), std::slice::from_ref(&element));
        assert!(map.contains(("10.0.0.0/24", "80-90")).unwrap());
        let once = element.create(&map).unwrap_err();
        assert!(once.is_already_exists(), "{once}");
    });
}

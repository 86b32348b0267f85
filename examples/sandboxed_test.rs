//! An integration test in its own namespaces: `cargo test --example sandboxed_test`.

fn main() {
    println!("run me by `cargo test --example sandboxed_test`");
}

#[cfg(test)]
use netloom::{Namespace, VethEnd, VethPair};

/// Needs neither root nor an unused name: each test has its own namespaces, /run and /sys.
#[test]
fn two_hosts_reach_each_other() {
    netloom::sandbox::run(|| -> Result<(), netloom::Error> {
        let (red, blue) = (Namespace::named("red").create()?, Namespace::named("blue").create()?);
        let _cable = VethPair::new(
            VethEnd::new("veth1").address("10.0.0.1/24").up(),
            VethEnd::new("veth2").address("10.0.0.2/24").up(),
        )
        .create_between(&red, &blue)?;
        red.ping("10.0.0.2")?;
        assert!(red.ping("10.0.0.3").is_err());
        Ok(())
    })
    .unwrap();
}

//! Mappings that netloom refuses because they can never work.

use netloom::{Netns, PortForward, Protocol};

use crate::support;

#[test]
fn what_can_never_be_is_refused_before_any_system_call() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let empty = std::ops::RangeInclusive::new(9, 8);
        let bad = [
            PortForward::new(0, "10.0.0.2"),
            PortForward::new(empty.clone(), "10.0.0.2"),
            PortForward::new(80, "web"),
            PortForward::new(80, "0.0.0.0"),
            PortForward::new(80, "127.0.0.1"),
            PortForward::new(80, "224.0.0.1"),
            PortForward::new(80, "10.0.0.2").target_port(0),
            PortForward::new(80, "10.0.0.2").target_port(80..=81),
            PortForward::new(80..=82, "10.0.0.2").target_port(80..=81),
            PortForward::new(80, "10.0.0.2").protocol(Protocol::ICMP),
            PortForward::new(80, "10.0.0.2").host_address("fd00::1"),
            PortForward::new(80, "10.0.0.2").host_address("0.0.0.0"),
            PortForward::new(80, "fd00::2").host_address("::1"),
            PortForward::new(80, "10.0.0.2").persistent(""),
            PortForward::new(80, "10.0.0.2").persistent("a\nb"),
            PortForward::new(80, "10.0.0.2").persistent("x".repeat(128)),
        ];
        for forward in bad {
            let error = forward.create(&here).unwrap_err();
            assert!(error.is_invalid_input(), "{forward}: {error}");
        }
        let mixed =
            [PortForward::new(80, "10.0.0.2"), PortForward::new(81, "10.0.0.2").persistent("web")];
        let error = PortForward::create_all(&mixed, &here).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        let error = PortForward::new(80, "10.0.0.2").create(&here).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENETUNREACH), "{error}");
        assert!(error.to_string().contains("no route to the target"), "{error}");
    });
}

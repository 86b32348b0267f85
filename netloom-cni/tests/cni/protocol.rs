//! The protocol: versions, the shape of results, chains of plugins.

use serde_json::{Value, json};

use super::plugin::{Host, container, with};
use super::support;

#[test]
fn version_lists_the_supported_versions() {
    support::isolated(|| {
        let host = Host::new();
        let variables = [("CNI_COMMAND", "VERSION")];
        let spoken = json!(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
        for (asked, answered) in [
            (r#"{"cniVersion":"0.4.0"}"#, "0.4.0"),
            (r#"{"cniVersion":"1.1.0"}"#, "1.1.0"),
            (r#"{"cniVersion":"9.0.0"}"#, "9.0.0"),
            ("", "1.1.0"),
        ] {
            let result = host.call_with(&variables, asked).result();
            assert_eq!(result, json!({ "cniVersion": answered, "supportedVersions": spoken }));
        }
    });
}

#[test]
fn a_result_has_the_shape_of_its_version() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
            let config = with(&host.config(), "cniVersion", version);
            let result = host.add("red", &config);
            assert_eq!(result["cniVersion"], version);
            let [bridge, port, eth0] = [0, 1, 2].map(|at| &result["interfaces"][at]);
            assert_eq!((&bridge["name"], &eth0["name"]), (&json!("cni0"), &json!("eth0")));
            assert_eq!(eth0["sandbox"], "/run/netns/red");
            assert!(port["sandbox"].is_null() && bridge["sandbox"].is_null());
            let mac = red.link("eth0").unwrap().info().unwrap().mac.unwrap();
            assert_eq!(eth0["mac"], mac.to_string());
            let near = host.netns.link(port["name"].as_str().unwrap()).unwrap().info().unwrap();
            assert_eq!(port["mac"], near.mac.unwrap().to_string());
            let ip = &result["ips"][0];
            assert_eq!((&ip["gateway"], &ip["interface"]), (&json!("10.88.0.1"), &json!(2)));
            let family = if version < "1.0.0" { json!("4") } else { Value::Null };
            assert_eq!(ip["version"], family);
            let mtu = if version < "1.1.0" { Value::Null } else { json!(1500) };
            assert_eq!(eth0["mtu"], mtu);
            assert_eq!(result["routes"], json!([{ "dst": "0.0.0.0/0", "gw": "10.88.0.1" }]));
            assert_eq!(result["dns"], json!({}));
            if version >= "0.4.0" {
                assert_eq!(host.check("red", &config, &result).result(), Value::Null);
            }
            host.del("red", &config);
        }
    });
}

#[test]
fn the_result_contains_that_of_earlier_plugins() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let before = json!({
            "cniVersion": "1.1.0",
            "interfaces": [{ "name": "net0", "sandbox": "/run/netns/red", "pciID": "0000:00:1f.6" }],
            "ips": [{ "address": "192.0.2.5/24", "interface": 0 }],
            "routes": [
                { "dst": "192.0.2.0/24" },
                { "dst": "198.18.0.0/15", "advmss": 1400, "scope": 253, "mtu": 1450 },
            ],
            "dns": { "nameservers": ["192.0.2.1"] },
        });
        let config = with(&host.config(), "prevResult", before.clone());
        let result = host.add("red", &config);
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 4);
        assert_eq!(result["interfaces"][0], before["interfaces"][0]);
        assert_eq!(result["ips"][0], before["ips"][0]);
        assert_eq!(result["ips"][1]["interface"], 3);
        for route in 0..2 {
            assert_eq!(result["routes"][route], before["routes"][route]);
        }
        assert_eq!(result["dns"], before["dns"]);
        // CHECK accepts what later plugins added to the result.
        let mut later = result;
        later["interfaces"].as_array_mut().unwrap().push(json!({ "name": "ifb0" }));
        host.check("red", &host.config(), &later).result();
        host.del("red", &with(&config, "prevResult", later));
    });
}

#[test]
fn unknown_fields_are_ignored() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let mut config = with(&host.config(), "flavour", json!({ "of": ["the", "month"] }));
        config["ipam"]["colour"] = json!(7);
        config["args"] = json!({ "cni": { "labels": [{ "key": "a", "value": "b" }] } });
        config["capabilities"] = json!({ "portMappings": true });
        config["cniVersions"] = json!(["1.0.0", "1.1.0"]);
        host.add("red", &config);
        host.del("red", &config);
    });
}

#[test]
fn dns_comes_from_the_configuration_or_a_resolv_conf() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        std::fs::write(
            "/run/resolv.conf",
            "# mine\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch a.example b.example\n\
             domain example\noptions ndots:2 rotate\n",
        )
        .unwrap();
        let mut config = host.config();
        config["ipam"]["resolvConf"] = json!("/run/resolv.conf");
        let dns = json!({
            "nameservers": ["192.0.2.53", "2001:db8::53"],
            "search": ["a.example", "b.example"],
            "domain": "example",
            "options": ["ndots:2", "rotate"],
        });
        assert_eq!(host.add("red", &config)["dns"], dns);
        host.del("red", &config);
        // An empty `dns` field leaves the answer of `ipam` in place.
        let silent = with(&config, "dns", json!({ "nameservers": [], "domain": "" }));
        assert_eq!(host.add("red", &silent)["dns"], dns);
        host.del("red", &silent);
        for (wrong, said) in [
            (json!("8.8.8.8"), "dns: \"8.8.8.8\" is not an object"),
            (json!({ "nameservers": "8.8.8.8" }), "dns.nameservers: \"8.8.8.8\" is not a list"),
            (json!({ "nameservers": ["x"] }), "dns.nameservers[0]: \"x\" is not an address"),
            (json!({ "search": [1] }), "dns.search[0]: 1 is not a string"),
            (json!({ "domain": 1 }), "dns.domain: 1 is not a string"),
        ] {
            host.call("ADD", "red", &with(&config, "dns", wrong)).refused(7, &[said]);
        }
        let own = json!({ "nameservers": ["192.0.2.99"] });
        let config = with(&config, "dns", own.clone());
        assert_eq!(host.add("red", &config)["dns"], own);
        host.del("red", &config);
        let mut config = host.config();
        config["ipam"]["resolvConf"] = json!("/run/nowhere.conf");
        host.call("ADD", "red", &config).refused(5, &["/run/nowhere.conf"]);
        std::fs::remove_file("/run/resolv.conf").unwrap();
    });
}

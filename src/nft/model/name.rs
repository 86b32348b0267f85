//! Checks that both `nft` and the kernel accept names of tables, chains and sets.

/// The maximum length of a name without its NUL, in bytes (`NFT_NAME_MAXLEN` is 256).
const LONGEST: usize = 255;

/// The keywords that can't be names: those that `nft` 1.0.6 was seen to refuse, and later keywords.
const KEYWORDS: &str = "\
    accept add ah all and arp auto-merge bridge cgroup chain comment comp constant continue \
    counter cpu create ct day dccp define delete describe destroy device devices dnat drop dst \
    dup dynamic ecn element elements eq esp ether exists export fib flags flow flowtable flush \
    frag fwd gc-interval ge get goto gt handle hbh hook hour ibriport ibrname icmp icmpv6 igmp \
    iif iifgroup iifname iiftype import include index inet insert interval ip ip6 ipsec jhash \
    jump le limit list ll log lshift lt map mark masquerade meta meter mh missing monitor ne \
    netdev nftrace nh not notrack numgen obriport obrname offload oif oifgroup oifname oiftype \
    or osf pkttype policy position priority queue quota random redefine redirect reject rename \
    replace reset return rshift rt rt0 rt2 rtclassid rule ruleset sctp secmark set size skgid \
    skuid snat socket srh symhash synproxy table tcp th time timeout tproxy type typeof udp \
    udplite undefine update vlan vmap xor";

/// Refuses a name that `nft` can't load, and returns the reason.
pub(crate) fn check(name: &str) -> Result<(), String> {
    let mut characters = name.chars();
    let Some(first) = characters.next() else { return Err("a name can't be empty".into()) };
    if name.len() > LONGEST {
        return Err(format!("a name has at most {LONGEST} bytes, this name has {}", name.len()));
    }
    if !first.is_ascii_alphabetic() && first != '_' && first != '.' {
        return Err(format!("the name {name:?} starts with neither a letter nor `_` nor `.`"));
    }
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    if !characters.all(is_fine) {
        return Err(format!(
            "the name {name:?} has other characters than letters, digits, `/`, `-`, `_`, `.`"
        ));
    }
    if name == "." || KEYWORDS.split(' ').any(|word| word == name) {
        return Err(format!("`{name}` is a keyword of nft, so nft refuses it as a name"));
    }
    Ok(())
}

/// The maximum length of a comment without its NUL, in bytes; `nft` refuses longer comments.
const LONGEST_COMMENT: usize = 127;

/// Refuses a comment that `nft` can't load, and returns the reason.
pub(crate) fn check_comment(text: &str) -> Result<(), String> {
    match text {
        "" => Err("a comment can't be empty".into()),
        _ if text.len() > LONGEST_COMMENT => Err(format!(
            "a comment has at most {LONGEST_COMMENT} bytes, this comment has {}",
            text.len()
        )),
        _ if text.contains(['"', '\0', '\n']) => {
            Err("nft could not list a comment with a quote, a NUL or a line break in it".into())
        }
        _ => Ok(()),
    }
}

/// The maximum length of a tag, in bytes: a table's comment is `netloom:` and the tag.
const LONGEST_TAG: usize = LONGEST_COMMENT - 8;

/// Refuses a text that can't be a tag, and returns the reason. The rules are the same for tags of
/// all kinds of persistent objects.
pub(crate) fn check_tag(tag: &str) -> Result<(), String> {
    match tag {
        "" => Err("a tag can't be empty".into()),
        _ if tag.len() > LONGEST_TAG => {
            Err(format!("a tag has at most {LONGEST_TAG} bytes, this tag has {}", tag.len()))
        }
        _ if tag.contains(|c: char| c == '"' || c.is_control()) => {
            Err("a tag can't contain quotes or control characters: nft could not list it".into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_nft_takes() {
        for good in ["filter", "a", "_x", ".x", "my-set", "a/b", "input"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let longest = "x".repeat(255);
        assert_eq!(check(&longest), Ok(()));
        for bad in
            ["", ".", "1x", "-x", "a b", "drop", "counter", "ä", "a\"b", "a*", &(longest + "x")]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_comment_is_one_that_nft_takes() {
        assert_eq!(check_comment("netloom: web"), Ok(()));
        for bad in ["", "a\"b", "a\nb", &"x".repeat(128)] {
            assert!(check_comment(bad).is_err());
        }
    }
}

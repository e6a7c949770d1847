//! The address that invitations name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cfb_chat::wire::address::is_odd_ipv4;

/// The longest name of a host (RFC 1035).
const MAX_HOST: usize = 253;
/// The longest part of one.
const MAX_LABEL: usize = 63;

/// `HOST` or `HOST:PORT`, as it can stand in an invitation: an IPv6 address is put in brackets.
pub fn public_address(text: &str) -> Result<String, String> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return v6(address);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or("an IPv6 address ends with ]")?;
        let address = v6(address.parse().map_err(|_| format!("{address} is no IPv6 address"))?)?;
        return match port.strip_prefix(':') {
            Some(port) => Ok(format!("{address}:{}", port_of(port)?)),
            None if port.is_empty() => Ok(address),
            None => Err("after ] comes : and a port, or nothing".into()),
        };
    }
    match text.split_once(':') {
        None => host(text),
        Some((_, port)) if port.contains(':') => Err("an IPv6 address with a port stands in brackets".into()),
        Some((name, port)) => Ok(format!("{}:{}", host(name)?, port_of(port)?)),
    }
}

fn v6(address: Ipv6Addr) -> Result<String, String> {
    if address.is_unspecified() { Err(nowhere(address.into())) } else { Ok(format!("[{address}]")) }
}

fn nowhere(address: IpAddr) -> String {
    format!("{address} stands for every address of this machine: clients cannot connect to it")
}

fn port_of(text: &str) -> Result<u16, String> {
    let is_number = text.chars().all(|char| char.is_ascii_digit());
    let port = text.parse().ok().filter(|port| is_number && *port > 0);
    port.ok_or_else(|| format!("port {text} is not in 1..=65535"))
}

fn host(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a host has a name or an address".into());
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return if address.is_unspecified() { Err(nowhere(address.into())) } else { Ok(text.into()) };
    }
    // An invitation holds no other characters, and what asks for such a name does not agree on which one it stands for.
    if text.chars().any(char::is_alphanumeric) && !text.is_ascii() {
        return Err(format!("{text} is not ASCII: write such a name as the registry has it, with xn-- in front"));
    }
    let is_label = |label: &str| {
        let holds = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        (1..=MAX_LABEL).contains(&label.len()) && !label.starts_with('-') && label.chars().all(holds)
    };
    // A last part of digits alone is that of an IPv4 address, which this is not.
    let is_number = text.rsplit('.').next().is_some_and(|last| last.chars().all(|char| char.is_ascii_digit()));
    if text.len() <= MAX_HOST && text.split('.').all(is_label) && !is_number && !is_odd_ipv4(text) {
        Ok(text.into())
    } else {
        Err(format!("{text} is no host's name or address"))
    }
}

#[cfg(test)]
mod tests {
    use cfb_chat::secure::identity::Fingerprint;
    use cfb_chat::secure::invitation::Invitation;
    use cfb_chat::secure::token::Token;

    use super::*;

    fn names_port(text: &str) -> bool {
        text.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'))
    }

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        let longest = format!("{0}.{0}.{0}.{1}", "x".repeat(63), "y".repeat(61));
        for text in [
            "chat.example.org",
            "chat.example.org:9443",
            "192.0.2.1:1",
            "[2001:db8::1]:9443",
            "xn--bcher-kva.example",
            "a-b_c.D",
            &longest,
        ] {
            assert_eq!(public_address(text), Ok(text.to_owned()));
            let with_port = if names_port(text) { text.to_owned() } else { format!("{text}:9443") };
            let invitation = Invitation::to(&with_port, Fingerprint([1; 32]), Token::new([1; 16]));
            let text = invitation.expect("INVITE takes it too").to_string();
            assert!(text.parse::<Invitation>().is_ok(), "{text}");
        }
        assert_eq!(public_address("2001:db8::1"), Ok("[2001:db8::1]".to_owned()));
        assert_eq!(public_address("[2001:DB8::1]"), Ok("[2001:db8::1]".to_owned()));
    }

    #[test]
    fn nothing_else_is() {
        let long = format!("{}.example", "x".repeat(64));
        let wrong = [
            "",
            ":9443",
            "a b",
            "a/b",
            "a#b",
            "a@b",
            "a..b",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "host:1:2",
            "[::1",
            "[::1]9443",
            "[::1]:",
            "[host]:1",
            "2001:db8::1:x",
            "256.0.0.1",
            "127.0.0.01",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0.0.0.0",
            "::",
            "[::]:1",
            "\u{1b}[2J",
            "-a.example",
            "a.-b",
            "bücher.example",
            "exämple.org:9443",
            "\u{ff41}.example",
            "例え.jp",
            "a\u{3002}b",
            &long,
        ];
        for text in wrong {
            assert!(public_address(text).is_err(), "{text:?}");
        }
    }
}

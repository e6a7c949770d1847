//! Textual forms of IP addresses, also those that few programs write and many read. PROTOCOL.md 6.7-2.

use core::net::{Ipv4Addr, Ipv6Addr};

/// True if `getaddrinfo` or `inet_aton` may take a text for an IP address.
#[must_use]
pub fn is_address(text: &str) -> bool {
    is_ipv4(text) || is_ipv6(text)
}

/// True if a text is an IPv4 address in another form than the one of four decimal numbers.
#[must_use]
pub fn is_odd_ipv4(text: &str) -> bool {
    is_ipv4(text) && text.parse::<Ipv4Addr>().is_err()
}

/// One to four numbers with dots between them, and perhaps one behind the last.
fn is_ipv4(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let (before, last) = text.rsplit_once('.').map_or((None, text), |(before, last)| (Some(before), last));
    let Some(last) = number(last) else { return false };
    let (mut count, mut are_bytes) = (0, true);
    for part in before.into_iter().flat_map(|before| before.split('.')) {
        count += 1;
        are_bytes &= number(part).is_some_and(|part| part <= 0xff);
    }
    // The last number fills the bytes that are left.
    count <= 3 && are_bytes && last <= u32::MAX >> (8 * count)
}

/// A number: decimal, octal behind `0`, or hexadecimal behind `0x`.
fn number(text: &str) -> Option<u32> {
    // The library's parser takes a sign.
    let parse = |digits: &str, radix| {
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        u32::from_str_radix(digits, radix).ok().filter(|_| are_digits)
    };
    match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => parse(digits, 16),
        None if text.starts_with('0') => parse(text, 8).or_else(|| parse(text, 10)),
        None => parse(text, 10),
    }
}

/// An IPv6 address with any number of leading zeros, with or without a zone.
fn is_ipv6(text: &str) -> bool {
    // Most texts are asked no further.
    if !text.contains(':') {
        return false;
    }
    let bare = text.split_once('%').map_or(text, |(bare, _)| bare);
    let groups: Vec<&str> = bare.split(':').map(group).collect();
    groups.join(":").parse::<Ipv6Addr>().is_ok()
}

/// A group without leading zeros; an IPv4 address at the end as two groups.
fn group(text: &str) -> &str {
    if text.matches('.').count() == 3 && is_ipv4(text) {
        return "0:0";
    }
    match text.trim_start_matches('0') {
        "" if !text.is_empty() => "0",
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_one() {
        let forms = [
            // Four numbers, three, two and one; decimal, octal, hexadecimal.
            "127.0.0.1",
            "127.0.0.01",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0X7F.0x0.0.0x1",
            "127.0.0.08",
            "127.0.1",
            "127.0.65535",
            "127.1",
            "0x7f.1",
            "0x7f.0xffffff",
            "2130706433",
            "017700000001",
            "0x7f000001",
            "4294967295",
            "0",
            "7",
            "127.0.0.1.",
            "2130706433.",
            "::1",
            "1::",
            "fe80::1",
            "fe80::1%eth0",
            "fe80::1%2",
            "fe80::1%",
            "2001:db8::1",
            "2001:DB8:0:0:0:0:0:1",
            "2001:00db8::00001",
            "::ffff:192.0.2.1",
            "::ffff:192.0.2.01",
            "64:ff9b::192.0.2.1%lo",
        ];
        for form in forms {
            assert!(is_address(form), "{form}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        let others = [
            "",
            ".",
            "%",
            ":",
            "Ira",
            "7of9",
            "v1.2",
            "192.0.2.256",
            "256.1.1.1",
            "1.2.3.4.5",
            "127.16777216",
            "127.0.65536",
            "4294967296",
            "0x",
            "0xg",
            "0x1ffffffff",
            "1..2",
            ".1",
            "1.2.3.x",
            "+1",
            "-1",
            "1.+2",
            "ab:cd",
            "a:b:c",
            "1:2:3:4:5:6:7:8:9",
            "12345::",
            "g::1",
            "a%b",
            "1%eth0",
            "٠",
            "１２７.0.0.1",
        ];
        for other in others {
            assert!(!is_address(other), "{other}");
        }
    }

    #[test]
    fn odd_forms_are_told_apart() {
        assert!(["127.1", "2130706433", "127.0.0.01", "127.0.0.1."].iter().all(|text| is_odd_ipv4(text)));
        assert!(!["127.0.0.1", "chat.example.org", "::1"].iter().any(|text| is_odd_ipv4(text)));
    }
}

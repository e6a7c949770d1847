//! Invitations: a server's address, fingerprint and a token, on one line. PROTOCOL.md §6 "Who may come in".
//!
//! ```text
//! cfb-chat://chat.example.org:9443/#SHA256:…/0123456789abcdefABCDEF
//! ```
//!
//! It comes from anywhere: it is bounded before it is looked at, and one that there is holds a host that is no more
//! than one, a port and a whole fingerprint.

use core::net::Ipv6Addr;
use std::fmt;
use std::str::FromStr;

use super::identity::{Fingerprint, FingerprintError};
use super::token::{Token, TokenError};
use crate::wire::address::is_odd_ipv4;

/// Prefix of an invitation.
pub const SCHEME: &str = "cfb-chat://";
/// The longest invitation, in bytes.
pub const MAX_INVITATION: usize = 512;
/// The longest name of a host (RFC 1035).
const MAX_HOST: usize = 253;

/// Admits a user, once or a few times. `Display` is the invitation line, token and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    host: String,
    port: u16,
    server: Fingerprint,
    token: Token,
}

/// Why a text is no invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// Over [`MAX_INVITATION`] bytes.
    #[error("an invitation has at most {MAX_INVITATION} bytes")]
    TooLong,
    /// Another scheme at its beginning.
    #[error("an invitation begins with {SCHEME}")]
    Scheme,
    /// No `/#` behind host and port.
    #[error("behind an invitation's host and port stand /# and the server's fingerprint")]
    NoFingerprint,
    /// The host.
    #[error("an invitation's host is a name or an address, an IPv6 address in brackets")]
    Host,
    /// The port.
    #[error("an invitation's port is a number from 1 to 65535")]
    Port,
    /// The server's fingerprint.
    #[error("in an invitation: {0}")]
    Fingerprint(#[from] FingerprintError),
    /// No token behind the fingerprint.
    #[error("behind an invitation's fingerprint stand / and a token")]
    NoToken,
    /// The token.
    #[error("in an invitation: {0}")]
    Token(#[from] TokenError),
}

impl Invitation {
    /// An invitation to this server. An IPv6 address may stand in brackets.
    ///
    /// # Errors
    /// [`InvitationError`] for a host or a port that could not be read again.
    pub fn new(host: &str, port: u16, server: Fingerprint, token: Token) -> Result<Self, InvitationError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_one = if bare.contains(':') { bare.parse::<Ipv6Addr>().is_ok() } else { host == bare && is_name(bare) };
        match port {
            _ if !is_one => Err(InvitationError::Host),
            0 => Err(InvitationError::Port),
            _ => Ok(Self { host: bare.to_owned(), port, server, token }),
        }
    }

    /// An invitation to the server at this address, `host:port`.
    ///
    /// # Errors
    /// [`InvitationError`] for an address that could not be read again.
    pub fn to(address: &str, server: Fingerprint, token: Token) -> Result<Self, InvitationError> {
        let (host, port) = address.rsplit_once(':').ok_or(InvitationError::Port)?;
        // A host alone: in brackets here, so that no part of it is taken for a port.
        if host.contains(':') && !host.starts_with('[') {
            return Err(InvitationError::Host);
        }
        // A number with a sign, or with more digits than it needs, is another text for the same thing.
        let port = port.parse().ok().filter(|number: &u16| number.to_string() == port).ok_or(InvitationError::Port)?;
        Self::new(host, port, server, token)
    }

    /// The server's name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its fingerprint.
    #[must_use]
    pub fn server(&self) -> Fingerprint {
        self.server
    }

    /// Returns the token.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        if text.len() > MAX_INVITATION {
            return Err(InvitationError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(InvitationError::Scheme)?;
        let (address, rest) = rest.split_once("/#").ok_or(InvitationError::NoFingerprint)?;
        // Base64 has / among its characters: the fingerprint's length tells where it ends.
        let at = Fingerprint::TEXT_LENGTH;
        let (server, token) = rest.split_at_checked(at).ok_or(FingerprintError)?;
        let server = server.parse()?;
        let token = token.strip_prefix('/').ok_or(InvitationError::NoToken)?.parse()?;
        Self::to(address, server, token)
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, server, token } = self;
        let token = token.text();
        if host.contains(':') {
            write!(f, "{SCHEME}[{host}]:{port}/#{server}/{token}")
        } else {
            write!(f, "{SCHEME}{host}:{port}/#{server}/{token}")
        }
    }
}

/// True if this can be the name of a host, or an IPv4 address in its one form.
fn is_name(host: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=MAX_HOST).contains(&host.len()) && !host.starts_with('-') && host.chars().all(is_part) && !is_odd_ipv4(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SERVER: Fingerprint = Fingerprint([0xff; 32]);

    fn line(address: &str) -> String {
        format!("cfb-chat://{address}/#{SERVER}/{}", Token::new([0xfb; 16]).text())
    }

    #[test]
    fn an_invitation_is_read_as_it_was_written() {
        for (host, address) in [
            ("chat.example.org", "chat.example.org:9443"),
            ("192.0.2.1", "192.0.2.1:1"),
            ("2001:db8::1", "[2001:db8::1]:65535"),
            ("[::1]", "[::1]:9443"),
        ] {
            let port = address.rsplit(':').next().unwrap().parse().unwrap();
            let invitation = Invitation::new(host, port, SERVER, Token::new([0xfb; 16])).unwrap();
            assert_eq!(invitation.to_string(), line(address));
            assert!(SERVER.to_string().contains('/'), "the fingerprint has a / of its own");
            let read: Invitation = line(address).parse().unwrap();
            assert_eq!(read, invitation);
            assert_eq!((read.host(), read.port()), (host.trim_matches(['[', ']']), port));
            assert_eq!((read.server(), read.token().text().len()), (SERVER, 22));
        }
        let invitation: Invitation = line("host:9443").parse().unwrap();
        assert!(!format!("{invitation:?}").contains(&invitation.token().text()), "it is not told by the way");
    }

    #[test]
    fn what_is_wrong_with_one_is_told() {
        let good = line("host:9443");
        let token = good.rsplit('/').next().unwrap();
        let cases = [
            ("", InvitationError::Scheme),
            ("https://host:9443/", InvitationError::Scheme),
            (&good[1..], InvitationError::Scheme),
            (&good.to_uppercase(), InvitationError::Scheme),
            ("cfb-chat://host:9443", InvitationError::NoFingerprint),
            (&format!("cfb-chat://host:9443/#{SERVER}"), InvitationError::NoToken),
            (&format!("cfb-chat://host:9443/#{SERVER}{token}"), InvitationError::NoToken),
            (&format!("cfb-chat://host:9443/#SHA256:short/{token}"), InvitationError::Fingerprint(FingerprintError)),
            (&good.replace("SHA256", "SHA512"), InvitationError::Fingerprint(FingerprintError)),
            (&good[..good.len() - 1], InvitationError::Token(TokenError)),
            (&format!("{good}="), InvitationError::Token(TokenError)),
            (&good.replace(token, "+/+/+/+/+/+/+/+/+/+/+w"), InvitationError::Token(TokenError)),
            (&good.replace(token, &format!("{}9", &token[..21])), InvitationError::Token(TokenError)),
            (&line("host"), InvitationError::Port),
            (&line("host:"), InvitationError::Port),
            (&line("host:0"), InvitationError::Port),
            (&line("host:+1"), InvitationError::Port),
            (&line("host:01"), InvitationError::Port),
            (&line("host:65536"), InvitationError::Port),
            (&line(":9443"), InvitationError::Host),
            (&line("-x:9443"), InvitationError::Host),
            (&line("two words:9443"), InvitationError::Host),
            (&line("ho\u{1b}st:9443"), InvitationError::Host),
            (&line("user@host:9443"), InvitationError::Host),
            (&line("::1:9443"), InvitationError::Host),
            (&line("[::1:9443"), InvitationError::Host),
            (&line("[host]:9443"), InvitationError::Host),
            (&line("[fe80::1%eth0]:9443"), InvitationError::Host),
            (&line("127.0.0.01:9443"), InvitationError::Host),
            (&line("2130706433:9443"), InvitationError::Host),
            (&line("0x7f.1:9443"), InvitationError::Host),
            (&line("127.0.0.1.:9443"), InvitationError::Host),
            (&line(&format!("{}:9443", "x".repeat(254))), InvitationError::Host),
            (&line(&format!("{}:9443", "x".repeat(500))), InvitationError::TooLong),
        ];
        for (text, why) in cases {
            assert_eq!(text.parse::<Invitation>(), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same_and_nothing_panics(
            text in any::<String>(), cut in any::<prop::sample::Index>(), other in any::<char>(), host in "[a-z.:\\[\\]0-9/#-]{0,20}",
        ) {
            let good = line("[2001:db8::1]:9443");
            let at = cut.index(good.len());
            let bent = format!("{}{other}{}", &good[..at], &good[at + 1..]);
            for text in [text.clone(), format!("{SCHEME}{text}"), good[..at].to_owned(), bent, line(&host), format!("{good}{text}")] {
                if let Ok(invitation) = text.parse::<Invitation>() {
                    prop_assert_eq!(invitation.to_string(), text);
                }
            }
        }
    }
}

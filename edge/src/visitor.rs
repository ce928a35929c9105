//! The address of a visitor, as the origin and the site are told it.

use std::net::IpAddr;

/// Whose word counts for the address of a visitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trusted {
    /// What the runtime itself knows: on Cloudflare `CF-Connecting-IP`, which nobody outside can set there; on workerd the peer of
    /// the connection.
    #[default]
    Runtime,
    /// A proxy in front of this one, which writes `X-Forwarded-For`.
    Forwarded,
}

impl Trusted {
    /// The word of the settings, and of the log.
    pub const WORDS: [(&'static str, Trusted); 2] =
        [("runtime", Trusted::Runtime), ("x-forwarded-for", Trusted::Forwarded)];
}

/// What a request says of where it comes from; nothing of it is believed yet.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// The peer of the connection, from workerd: an address with its port.
    pub peer: Option<String>,
    /// Whether Cloudflare has received the request.
    pub on_cloudflare: bool,
    /// `CF-Connecting-IP`.
    pub connecting: Option<String>,
    /// `X-Forwarded-For`.
    pub forwarded: Option<String>,
}

/// The value of `X-Forwarded-For` for the next hop; `None` when nobody trustworthy says where the visitor is. Only addresses get
/// through, whatever was sent.
pub fn forwarded_for(said: &Said, trusted: Trusted) -> Option<String> {
    let address = |text: &str| text.trim().parse::<IpAddr>().ok();
    match trusted {
        Trusted::Forwarded => {
            let chain = said.forwarded.as_deref()?.split(',');
            let chain: Option<Vec<String>> = chain.map(|hop| address(hop).map(|hop| hop.to_string())).collect();
            chain.map(|chain| chain.join(", "))
        }
        Trusted::Runtime if said.on_cloudflare => address(said.connecting.as_deref()?).map(|ip| ip.to_string()),
        Trusted::Runtime => {
            let peer = said.peer.as_deref()?;
            let with_port = peer.parse::<std::net::SocketAddr>().ok().map(|peer| peer.ip());
            with_port.or_else(|| address(peer)).map(|ip| ip.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, on_cloudflare: bool, connecting: &str, forwarded: &str, trusted: Trusted) -> Option<String> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (connecting, forwarded) = (some(connecting), some(forwarded));
        forwarded_for(&Said { peer: some(peer), on_cloudflare, connecting, forwarded }, trusted)
    }

    #[test]
    fn nobody_outside_can_say_where_a_request_comes_from() {
        for (peer, on_cloudflare, connecting, forwarded, trusted, want) in [
            ("203.0.113.9:4711", false, "198.51.100.1", "198.51.100.2", Trusted::Runtime, Some("203.0.113.9")),
            ("[2001:db8::1]:4711", false, "", "", Trusted::Runtime, Some("2001:db8::1")),
            ("203.0.113.9", false, "", "", Trusted::Runtime, Some("203.0.113.9")),
            ("", true, "198.51.100.1", "198.51.100.2", Trusted::Runtime, Some("198.51.100.1")),
            ("", true, "nonsense", "198.51.100.2", Trusted::Runtime, None),
            ("unix:/run/edge", false, "198.51.100.1", "198.51.100.2", Trusted::Runtime, None),
            ("", false, "198.51.100.1", "198.51.100.2", Trusted::Runtime, None),
            ("10.0.0.1:1", false, "", "198.51.100.2,  10.0.0.9", Trusted::Forwarded, Some("198.51.100.2, 10.0.0.9")),
            ("10.0.0.1:1", false, "", "", Trusted::Forwarded, None),
            ("10.0.0.1:1", false, "", "evil\r\n, 10.0.0.9", Trusted::Forwarded, None),
        ] {
            let told = told(peer, on_cloudflare, connecting, forwarded, trusted);
            assert_eq!(told.as_deref(), want, "{peer} {connecting} {forwarded} {trusted:?}");
        }
    }
}

//! What `anteroom demo` says at the terminal.

use super::{DemoOptions, EVENT};
use crate::secret::Secret;
use anteroom_core::settings::Settings;
use std::fmt;
use std::net::SocketAddr;
use url::Url;

/// See the module's comment.
pub struct Greeting<'a> {
    /// Where the server can be reached.
    pub address: SocketAddr,
    /// Where the shop is that the gate stands in front of.
    pub shop: &'a Url,
    /// Of the room.
    pub settings: &'a Settings,
    /// The operator's token, if it was made up for this run: one that was configured is never printed.
    pub admin: Option<&'a Secret>,
    /// What was asked for.
    pub options: DemoOptions,
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, shop, settings, admin, options } = self;
        let token = admin.map_or("$ANTEROOM_ADMIN_TOKEN", Secret::reveal);
        writeln!(f, "\n  Anteroom demo: a waiting room to try. Everything is in memory and gone when it stops.\n")?;
        writeln!(f, "  Open         http://{address}/     the shop, behind the gate")?;
        writeln!(f, "  The shop     {shop}     the same without a gate, as the gate sees it")?;
        let (rate, claim) = (settings.admit_per_minute, settings.claim_sec);
        writeln!(f, "  The room     \"{EVENT}\": {rate} people a minute are called, each has {claim} s to go in")?;
        match options.people {
            Some(people) => writeln!(
                f,
                "  The others   about {people} simulated people in line (change it with --people N or --no-crowd)"
            )?,
            None => writeln!(f, "  The others   none: whoever comes first goes straight in")?,
        }
        if let Some(admin) = admin {
            writeln!(f, "  Operator     the token of this run is {}", admin.reveal())?;
        }
        let (base, header) = (format!("http://{address}"), format!("-H \"Authorization: Bearer {token}\""));
        writeln!(f, "\n  Live numbers:\n    curl {header} {base}/api/v1/admin/rooms/{EVENT}/stats")?;
        writeln!(f, "\n  Let ten more people in now:")?;
        writeln!(f, "    curl {header} --json '{{\"count\": 10}}' {base}/api/v1/admin/rooms/{EVENT}/call")?;
        writeln!(
            f,
            "\n  Send a crowd of your own over HTTP, into a room of its own (needs the source; start the demo with"
        )?;
        writeln!(f, "  ANTEROOM_RATE_PER_SEC=0, or most of it is turned away as one impatient client):")?;
        writeln!(f, "    cargo xtask crowd --url {base} --admin-token \"{token}\"")?;
        writeln!(f, "\n  Ctrl-C stops it.\n")
    }
}

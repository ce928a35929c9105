//! How Caddy is started.

use crate::proxy::Place;
use std::process::Command;

const TEMPLATE: &str = include_str!("../../../deploy/proxies/Caddyfile.template");

pub fn command(place: &Place<'_>) -> Command {
    let at = |name: &str| place.folder.join(name).display().to_string();
    let config = TEMPLATE
        .replace("${LISTEN}", &place.listen.to_string())
        .replace("${ANTEROOM}", place.anteroom)
        .replace("${SITE}", place.site);
    // Its administration would be on one port of the machine for all tests.
    let config = config.replacen("\n{\n", "\n{\nadmin off\ndefault_bind 127.0.0.1\n", 1);
    std::fs::write(at("Caddyfile"), config).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config", &at("Caddyfile")]);
    // What it keeps, it keeps here.
    command.env("XDG_CONFIG_HOME", place.folder).env("XDG_DATA_HOME", place.folder).env("HOME", place.folder);
    command
}

//! How nginx is started.

use crate::proxy::Place;
use std::process::Command;

pub const TEMPLATE: &str = include_str!("../../../deploy/proxies/nginx.conf.template");

pub fn command(place: &Place<'_>) -> Command {
    with(TEMPLATE, place)
}

/// The same with another configuration.
pub fn with(template: &str, place: &Place<'_>) -> Command {
    let at = |name: &str| place.folder.join(name).display().to_string();
    let config = template
        .replace("${LISTEN}", &format!("127.0.0.1:{}", place.listen))
        .replace("${ANTEROOM}", place.anteroom)
        .replace("${SITE}", place.site);
    // What an installed nginx has its own folders for.
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};", at(name)))
        .join("\n");
    let config = config.replacen("http {", &format!("http {{\naccess_log off;\n{folders}"), 1);
    std::fs::write(at("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-p", &at(""), "-c", &at("nginx.conf"), "-e", "stderr"]);
    // One process, so that killing it leaves no workers behind.
    command.args(["-g", &format!("daemon off; master_process off; pid {};", at("nginx.pid"))]);
    command
}

//! How Envoy is started.

use crate::proxy::Place;
use std::process::Command;

const TEMPLATE: &str = include_str!("../../../deploy/proxies/envoy.yaml.template");

pub fn command(place: &Place<'_>) -> Command {
    let at = |name: &str| place.folder.join(name).display().to_string();
    let config =
        [("ANTEROOM", place.anteroom), ("SITE", place.site)].iter().fold(TEMPLATE.to_owned(), |config, (name, at)| {
            let (host, port) = at.split_once(':').unwrap();
            config.replace(&format!("${{{name}_HOST}}"), host).replace(&format!("${{{name}_PORT}}"), port)
        });
    let config = config.replace("0.0.0.0", "127.0.0.1").replace("${LISTEN}", &place.listen.to_string());
    std::fs::write(at("envoy.yaml"), config).unwrap();
    let mut command = Command::new("envoy");
    // A hot restart is of one Envoy on a machine, and finds it by memory that all of them would share.
    command.args(["--config-path", &at("envoy.yaml"), "--disable-hot-restart", "--concurrency", "2"]);
    command
}

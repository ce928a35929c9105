//! How Traefik is started.

use crate::proxy::Place;
use std::process::Command;

const STATIC: &str = include_str!("../../../deploy/proxies/traefik.static.yaml.template");
const DYNAMIC: &str = include_str!("../../../deploy/proxies/traefik.yaml.template");

pub fn command(place: &Place<'_>) -> Command {
    let at = |name: &str| place.folder.join(name).display().to_string();
    let dynamic = DYNAMIC.replace("${ANTEROOM}", place.anteroom).replace("${SITE}", place.site);
    let fixed = STATIC
        .replace("\":${LISTEN}\"", &format!("\"127.0.0.1:{}\"", place.listen))
        .replace("${DYNAMIC}", &at("anteroom.yaml"));
    std::fs::write(at("anteroom.yaml"), dynamic).unwrap();
    std::fs::write(at("traefik.yaml"), fixed).unwrap();
    let mut command = Command::new("traefik");
    command.args(["--configFile", &at("traefik.yaml")]).current_dir(place.folder);
    command
}

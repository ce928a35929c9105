//! A worker on workerd, started as operators start it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    child::{Child, free_address},
    server::Server,
};

/// Starts the worker in `bundle` in front of a server; answers its URL.
pub async fn start(workerd: &Path, bundle: &Path, server: &Server, directory: &Path) -> Result<(Child, String)> {
    let run = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/workerd/run"));
    let address = free_address()?;
    let listen = address.to_string();
    let variables: [(&str, &OsStr); 6] = [
        ("ORIGIN", server.url().as_ref()),
        ("ANTEROOM_SECRET", server.secret().as_ref()),
        ("ANTEROOM_EDGE_TOKEN", server.edge_token().as_ref()),
        ("ANTEROOM_LISTEN", listen.as_ref()),
        ("ANTEROOM_WORKERD", workerd.as_os_str()),
        ("ANTEROOM_EDGE_BUNDLE", bundle.as_os_str()),
    ];
    let variables = variables.map(|(name, value)| (OsStr::new(name), value));
    let mut child = Child::start(&run, [""; 0], variables, directory).context("the worker")?;
    child.listening(address).await?;
    Ok((child, format!("http://{address}")))
}

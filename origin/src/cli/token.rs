//! `anteroom token`: keys, secrets, and a look into tokens.

use super::Failure;
use crate::pass::PassKeys;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Mint an Ed25519 key for passes, as PEM (ANTEROOM_PASS_KEY_FILE)
    Keys {
        /// File to write, which must not exist yet; absent: print it
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Mint a secret for waiting tokens (ANTEROOM_SECRET)
    Secret,
    /// Print header and claims of a token, without checking its signature
    Inspect {
        /// The token, or - to read it from standard input
        token: String,
    },
}

pub(super) fn run(args: TokenArgs, out: &mut impl Write) -> Result<(), Failure> {
    match args.command {
        TokenCommand::Keys { out: Some(path) } => write_key(&path),
        TokenCommand::Keys { out: None } => write!(out, "{}", PassKeys::generate().to_pem()).map_err(Failure::of),
        TokenCommand::Secret => writeln!(out, "{}", Secret::random().reveal()).map_err(Failure::of),
        TokenCommand::Inspect { token } if token == "-" => {
            let token = std::io::read_to_string(std::io::stdin()).map_err(Failure::of)?;
            writeln!(out, "{:#}", inspect(&token)?).map_err(Failure::of)
        }
        TokenCommand::Inspect { token } => writeln!(out, "{:#}", inspect(&token)?).map_err(Failure::of),
    }
}

/// For the owner's eyes only from the first byte, and never over another key.
fn write_key(path: &Path) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(PassKeys::generate().to_pem().as_bytes()))
        .map_err(|error| Failure(format!("{}: {error}", path.display())))
}

fn inspect(token: &str) -> Result<Value, Failure> {
    let parts: Vec<&str> = token.trim().split('.').collect();
    let [header, claims, _signature] = parts[..] else {
        return Err(Failure(format!("a token has three parts between dots, this has {}", parts.len())));
    };
    let part = |name: &str, text: &str| -> Result<Value, Failure> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Failure(format!("the {name} is not base64url")))?;
        serde_json::from_slice(&bytes).map_err(|error| Failure(format!("the {name} is not JSON: {error}")))
    };
    let note = "the signature was NOT checked: anybody can have written this";
    Ok(json!({ "note": note, "header": part("header", header)?, "claims": part("claims", claims)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Variables};

    fn output(command: TokenCommand) -> Result<String, Failure> {
        let mut out = Vec::new();
        run(TokenArgs { command }, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_is_minted_is_what_the_server_takes() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pass.pem");
        output(TokenCommand::Keys { out: Some(path.clone()) }).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let key = std::fs::read_to_string(&path).unwrap();
        assert!(output(TokenCommand::Keys { out: Some(path.clone()) }).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), key, "a key is never overwritten");
        let secret = output(TokenCommand::Secret).unwrap();
        let settings = [("ANTEROOM_SECRET", secret.trim()), ("ANTEROOM_PASS_KEY_FILE", path.to_str().unwrap())];
        let variables: Variables = settings.map(|(name, value)| (name.into(), value.into())).into();
        Config::load(None, &variables).unwrap();
        assert!(PassKeys::from_pem(&output(TokenCommand::Keys { out: None }).unwrap()).is_ok());
    }

    #[test]
    fn inspecting_shows_both_parts_and_that_nothing_was_checked() {
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.";
        let shown = output(TokenCommand::Inspect { token: format!(" {token}\n") }).unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&shown["header"]["alg"], &shown["claims"]["sub"]), (&json!("none"), &json!("ann")));
        assert!(shown["note"].as_str().unwrap().contains("NOT checked"));
        for token in ["", "a.b", "!.e30.", "e30.bm8.", "a.b.c.d"] {
            assert!(output(TokenCommand::Inspect { token: token.into() }).is_err(), "{token}");
        }
    }
}

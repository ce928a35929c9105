//! Golden vectors: what core computes, pinned in `vectors/` and held to by native code here, by WebAssembly in a browser
//! (`browser/tests/`) and, for tokens, by the worker on workerd.
//!
//! `ANTEROOM_GOLDEN=write cargo test -p anteroom-core --features signatures --test golden` writes them anew after a change that is
//! meant to change them.

#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

#[path = "golden/scenes.rs"]
mod scenes;

use anteroom_core::units::Millis;
use scenes::Scene;
use std::{env, fs, path::Path};

/// Compares with the file, or writes it.
fn hold_to(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    if env::var_os("ANTEROOM_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(path, text).unwrap();
        return;
    }
    let committed = fs::read_to_string(&path).unwrap();
    let differs = committed.lines().zip(text.lines()).enumerate().find(|(_, (committed, now))| committed != now);
    if let Some((line, (committed, now))) = differs {
        panic!("{file}:{}: committed\n{committed}\nand computed\n{now}", line + 1);
    }
    assert_eq!(committed.len(), text.len(), "{file}: one is longer");
}

#[test]
fn boards_and_answers_are_those_that_are_committed() {
    hold_to("lines.json", &scenes::text());
}

#[test]
fn the_functions_under_the_estimate_are_bit_for_bit_those_that_are_committed() {
    hold_to("floats.txt", &scenes::floats());
}

#[test]
fn a_board_read_from_its_text_gives_the_committed_answers() {
    let scenes: Vec<Scene> = serde_json::from_str(include_str!("vectors/lines.json")).unwrap();
    assert!(scenes.len() > 10);
    for scene in &scenes {
        for asked in &scene.asked {
            let answer = scenes::answer(&scene.board, &asked.claims(), Millis(asked.now));
            assert_eq!(answer, asked.answer, "{}: ticket {} at {}", scene.name, asked.ticket, asked.now);
        }
    }
}

#[cfg(feature = "signatures")]
mod tokens {
    use super::*;
    use anteroom_core::token::{HEADER, TokenKeys, WaitingClaims};
    use anteroom_core::units::{EventId, Generation, Identity, Ticket};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
    use jsonwebtoken::{Algorithm, EncodingKey};
    use serde::{Deserialize, Serialize};

    const SECRETS: [&str; 2] = ["the first secret of 32 bytes or more", "an older secret that still verifies"];
    const OTHER: &str = "somebody else and an equally long secret";

    #[derive(Serialize, Deserialize)]
    struct File {
        /// First signs, all verify.
        secrets: Vec<String>,
        tokens: Vec<Vector>,
    }

    #[derive(Serialize, Deserialize)]
    struct Vector {
        about: String,
        token: String,
        /// Absent: not a waiting token of ours.
        #[serde(skip_serializing_if = "Option::is_none")]
        claims: Option<Claims>,
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Claims {
        event: String,
        generation: u64,
        ticket: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        identity: Option<String>,
        issued_at: u64,
    }

    impl From<&WaitingClaims> for Claims {
        fn from(claims: &WaitingClaims) -> Self {
            Self {
                event: claims.event.as_str().to_owned(),
                generation: claims.generation.0,
                ticket: claims.ticket.0,
                identity: claims.identity.as_ref().map(|identity| identity.as_str().to_owned()),
                issued_at: claims.issued_at,
            }
        }
    }

    fn signed(header: &str, payload: &str, secret: &str) -> String {
        let message = format!("{header}.{}", BASE64URL.encode(payload));
        let key = EncodingKey::from_secret(secret.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    fn vectors() -> File {
        let keys = TokenKeys::new(&SECRETS).unwrap();
        let older = TokenKeys::new(&SECRETS[1..]).unwrap();
        let claims = |ticket, identity: Option<&str>| WaitingClaims {
            event: EventId::parse("sale").unwrap(),
            generation: scenes::GENERATION,
            ticket: Ticket(ticket),
            identity: identity.map(|identity| Identity::parse(identity).unwrap()),
            issued_at: scenes::NOW.secs(),
        };
        let good = [
            ("anonymous", &keys, claims(1, None)),
            ("with an identity that needs escapes", &keys, claims(42, Some("auth0|\"jo\" \\ Ä 김"))),
            ("signed with the older secret", &older, claims(5_000, None)),
            ("the largest ticket that a double holds", &keys, claims((1 << 53) - 1, None)),
            ("of another generation", &keys, WaitingClaims { generation: Generation(1), ..claims(9, None) }),
        ];
        let mut tokens: Vec<Vector> = good
            .into_iter()
            .map(|(about, keys, claims)| Vector {
                about: about.to_owned(),
                token: keys.sign(&claims),
                claims: Some(Claims::from(&claims)),
            })
            .collect();
        let payload = r#"{"aud":"anteroom:wait","evt":"sale","gen":1795200000,"tkt":1,"iat":1795219200}"#;
        let none = BASE64URL.encode(r#"{"typ":"JWT","alg":"none"}"#);
        let token = tokens[0].token.clone();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let moved = format!("{HEADER}.{}.{signature}", BASE64URL.encode(payload.replace("\"tkt\":1,", "\"tkt\":2,")));
        for (about, token) in [
            ("signed by somebody else", signed(HEADER, payload, OTHER)),
            ("another ticket under the same signature", moved),
            ("a signature cut short", token[..token.len() - 1].to_owned()),
            ("no signature", format!("{message}.")),
            ("an algorithm of none", format!("{none}.{}.", BASE64URL.encode(payload))),
            ("another header, well signed", signed(&BASE64URL.encode(r#"{"alg":"HS256"}"#), payload, SECRETS[0])),
            ("a pass, well signed", signed(HEADER, &payload.replace("anteroom:wait", "anteroom:pass"), SECRETS[0])),
            ("an event that no event can be", signed(HEADER, &payload.replace("sale", "s a l e"), SECRETS[0])),
            ("not a token", "sale".to_owned()),
        ] {
            tokens.push(Vector { about: about.to_owned(), token, claims: None });
        }
        File { secrets: SECRETS.map(str::to_owned).to_vec(), tokens }
    }

    #[test]
    fn tokens_are_signed_as_committed() {
        hold_to("tokens.json", &(serde_json::to_string_pretty(&vectors()).unwrap() + "\n"));
    }

    #[test]
    fn committed_tokens_are_verified_and_read_as_committed() {
        let file: File = serde_json::from_str(include_str!("vectors/tokens.json")).unwrap();
        let keys = TokenKeys::new(&file.secrets).unwrap();
        for Vector { about, token, claims } in &file.tokens {
            assert_eq!(&keys.verify(token).ok().as_ref().map(Claims::from), claims, "{about}");
            if let Some(claims) = claims {
                let read = WaitingClaims::unverified(token).unwrap();
                assert_eq!(&Claims::from(&read), claims, "{about}");
            }
        }
    }
}

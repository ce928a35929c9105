//! Secrets: values that must not reach a log, an error or a debug print, and are compared in constant time.

use std::fmt;
use subtle::ConstantTimeEq;

/// Text that proves something. `Debug` hides it and there is no `Display`.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// 32 random bytes from the system, as 64 hexadecimal digits: base64 may begin with a dash, which a command line takes for an
    /// option.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system gives randomness");
        Self::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// The text itself, for the code that signs or sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this secret, in time that depends only on the length of `shown`.
    pub fn matches(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Secrets in rotation: the first signs, all verify. Never empty.
#[derive(Clone, Debug)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// At least one secret; the first signs.
    pub fn new(first: Secret, older: impl IntoIterator<Item = Secret>) -> Self {
        Self(std::iter::once(first).chain(older).collect())
    }

    /// The one that signs.
    pub fn signing(&self) -> &Secret {
        &self.0[0]
    }

    /// All that verify, the signing one first.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_in_debug_output() {
        let secrets = Secrets::new(Secret::new("swordfish"), [Secret::new("marlin")]);
        let shown = format!("{secrets:?}");
        assert!(!shown.contains("swordfish") && !shown.contains("marlin"), "{shown}");
    }

    #[test]
    fn only_the_whole_secret_matches() {
        let secret = Secret::new("swordfish");
        for (shown, want) in
            [("swordfish", true), ("swordfis", false), ("swordfish ", false), ("", false), ("Swordfish", false)]
        {
            assert_eq!(secret.matches(shown), want, "{shown:?}");
        }
    }

    #[test]
    fn random_secrets_are_long_enough_to_sign_with_and_differ() {
        let (a, b) = (Secret::random(), Secret::random());
        assert!(a.reveal().len() >= 32);
        assert!(!a.matches(b.reveal()));
    }
}

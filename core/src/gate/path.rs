//! Paths, read in every way in which the site behind might read them.
//!
//! A gate and the site behind it are two programs, and an attacker looks for a path that they read differently: `//`, `..`, `%2e`,
//! `%252e`, `\`, `;x`, another case. So a guarded pattern counts as met when **any** reading of the path meets it, and a pattern that
//! goes through counts only for a path that has a single reading.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Longest path that is looked at, bytes.
pub const PATH_MAX: usize = 8_192;
/// A path that is still encoded after so many decodings is refused.
const DECODINGS: usize = 3;

/// A path and all its readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings {
    /// In lower case, without a slash at the end, most literal first.
    forms: Vec<String>,
    /// The one reading in its own case, if there is only one.
    plain: Option<String>,
}

impl Readings {
    /// Reads the path of a request, without its query. `None` when it is not a path: not beginning with a slash, longer than
    /// [`PATH_MAX`], with control characters or broken escapes, or encoded more than three times over. O(length).
    pub fn of(path: &str) -> Option<Self> {
        if !path.starts_with('/') || path.len() > PATH_MAX || path.bytes().any(is_control) {
            return None;
        }
        if !is_odd(path) && !path.contains('%') {
            let plain = without_end(path);
            return Some(Self { forms: Vec::from([plain.to_lowercase()]), plain: Some(plain.into()) });
        }
        let mut forms: Vec<String> = Vec::new();
        let mut add = |form: &str| {
            let form = without_end(form).to_lowercase();
            if !forms.contains(&form) {
                forms.push(form);
            }
        };
        let mut text = path.as_bytes().to_vec();
        let mut plain = None;
        for round in 0..=DECODINGS {
            let shown = String::from_utf8_lossy(&text);
            for form in [merged(&shown), merged(&without_parameters(&shown))] {
                add(&resolved(&form));
                add(&form);
            }
            let next = decoded(&text)?;
            if next.iter().copied().any(is_control) {
                return None;
            }
            if next == text {
                return Some(Self { forms, plain });
            }
            // Only ordinary characters were escaped: everybody reads this alike.
            let decoded = String::from_utf8_lossy(&next);
            let same_shape = next.iter().filter(|byte| **byte == b'/').count() == path.matches('/').count();
            if round == 0 && same_shape && !is_odd(path) && !is_odd(&decoded) && !decoded.contains('%') {
                plain = Some(without_end(&decoded).into());
            }
            text = next;
        }
        None
    }

    fn meet(&self, pattern: &Pattern) -> bool {
        self.forms.iter().any(|form| pattern.matches(form))
    }
}

/// A pattern of paths: `*` stands for any run of characters, everything else for itself in any case. `/a/*` also means `/a`, and a
/// slash at the end means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What stands between the stars, in lower case.
    lower: Vec<String>,
    /// The same in its own case.
    own: Vec<String>,
}

impl Pattern {
    /// Parses a pattern; the error is to be read after the name of the setting.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with('/') {
            return Err("must begin with a slash");
        }
        if text.len() > 500 {
            return Err("must be at most 500 bytes long");
        }
        if text.contains(['?', '#', '\\', ';']) || text.contains("//") || text.bytes().any(is_control) {
            return Err("must not contain ?, #, ;, \\, // or control characters");
        }
        if text.split('/').any(|segment| segment == "." || segment == "..") {
            return Err("must not contain the segments . and ..");
        }
        let decoded = decoded(text.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
        let text = decoded.ok_or("has a % that is not followed by two digits, or is not UTF-8")?;
        let own: Vec<String> = without_end(&text).split('*').map(String::from).collect();
        let lower = own.iter().map(|piece| piece.to_lowercase()).collect();
        Ok(Self { lower, own })
    }

    /// Whether any reading of the path meets it.
    pub fn guards(&self, path: &Readings) -> bool {
        path.meet(self)
    }

    /// Whether the path has a single reading, and that meets it, case included.
    pub fn lets_through(&self, path: &Readings) -> bool {
        path.plain.as_ref().is_some_and(|plain| glob(&self.own, plain))
    }

    /// How exactly it names a path: more literal characters first, then without stars.
    pub fn rank(&self) -> (usize, bool) {
        (self.lower.iter().map(String::len).sum(), self.lower.len() == 1)
    }

    fn matches(&self, form: &str) -> bool {
        glob(&self.lower, form)
    }
}

/// Whether `text` is the pieces in order, with anything between them. Taking the first fit for each is enough, as pieces are literal.
fn glob(pieces: &[String], text: &str) -> bool {
    let (first, rest) = match pieces {
        [] => return false,
        [only] => return only == text,
        [first, rest @ ..] => (first, rest),
    };
    // `/a/*` also means `/a`.
    if let [last] = rest
        && last.is_empty()
        && first.strip_suffix('/') == Some(text)
    {
        return true;
    }
    let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
    let (last, middle) = rest.split_last().expect("there are at least two pieces");
    for piece in middle {
        match left.find(piece.as_str()) {
            Some(at) => left = &left[at + piece.len()..],
            None => return false,
        }
    }
    left.ends_with(last.as_str())
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// Whether servers differ in how they read it.
fn is_odd(path: &str) -> bool {
    path.contains(['\\', ';']) || path.contains("//") || path.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn without_end(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/" } else { trimmed }
}

/// One decoding; `None` at a broken escape.
pub(super) fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        let byte = if byte == b'%' {
            let (high, low) = (bytes.next().and_then(digit)?, bytes.next().and_then(digit)?);
            u8::try_from(high * 16 + low).ok()?
        } else {
            byte
        };
        out.push(byte);
    }
    Some(out)
}

/// Backslashes as slashes, several slashes as one.
fn merged(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars().map(|c| if c == '\\' { '/' } else { c }) {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// Without `;x=y` at the end of segments.
fn without_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(';') {
        return Cow::Borrowed(path);
    }
    let segments: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap_or("")).collect();
    Cow::Owned(segments.join("/"))
}

/// With `.` and `..` carried out.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut out = String::from("/");
    out.push_str(&kept.join("/"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;
    use std::format;

    fn guards(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().guards(&Readings::of(path).unwrap_or_else(|| panic!("{path}")))
    }

    fn lets_through(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().lets_through(&Readings::of(path).unwrap_or_else(|| panic!("{path}")))
    }

    #[test]
    fn a_pattern_meets_what_it_says() {
        for (pattern, path, want) in [
            ("/*", "/", true),
            ("/*", "/a/b", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("/tickets", "/tickets", true),
            ("/tickets", "/tickets/", true),
            ("/tickets", "/Tickets", true),
            ("/tickets", "/tickets/1", false),
            ("/tickets/", "/tickets", true),
            ("/tickets/*", "/tickets", true),
            ("/tickets/*", "/tickets/", true),
            ("/tickets/*", "/tickets/1/2", true),
            ("/tickets/*", "/ticketsale", false),
            ("/*.pdf", "/a/b.PDF", true),
            ("/*.pdf", "/a/b.pdfx", false),
            ("/a/*/c/*/e", "/a/x/y/c/z/e", true),
            ("/a/*/c/*/e", "/a/c/e", false),
            ("/caf%C3%A9", "/caf%c3%a9", true),
            ("/café/*", "/CAF%C3%89/x", true),
        ] {
            assert_eq!(guards(pattern, path), want, "{pattern} {path}");
        }
    }

    #[test]
    fn no_spelling_of_a_guarded_path_gets_around_it() {
        for path in [
            "//tickets/1",
            "/./tickets/1",
            "/x/../tickets/1",
            "/x/%2e%2e/tickets/1",
            "/x/%2E./tickets/1",
            "/x%2f..%2ftickets/1",
            "/%74ickets/1",
            "/%2574ickets/1",
            "/x/..%252ftickets%252f1",
            "/x/..%5ctickets\\1",
            "\\tickets/1".replace('\\', "/\\").as_str(),
            "/TICKETS/1",
            "/tickets;a=b/1",
            "/x/..;/tickets/1",
            "/tickets/..%2f..%2fpublic",
            "/tickets//",
        ] {
            assert!(guards("/tickets/*", path), "{path}");
        }
    }

    #[test]
    fn only_a_path_that_everybody_reads_alike_goes_through() {
        for path in
            ["/assets/a.css", "/assets/", "/assets", "/assets/b%20c.png", "/assets/.hidden", "/assets/caf%C3%A9.png"]
        {
            assert!(lets_through("/assets/*", path), "{path}");
        }
        for path in [
            "/assets/../tickets",
            "/assets/%2e%2e/tickets",
            "/assets/..%2ftickets",
            "/assets/%252e%252e/tickets",
            "/assets//x",
            "/assets/;/../tickets",
            "/assets/x\\..\\..\\tickets",
            "/assets/a%2fb",
            "/Assets/a.css",
        ] {
            assert!(!lets_through("/assets/*", path), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_has_no_reading() {
        let long = "/".to_string() + &"x".repeat(PATH_MAX);
        for path in ["", "*", "tickets", "/a\nb", "/a%00b", "/a%0ab", "/%", "/%g1", "/%1", "/%25252525", &long] {
            assert_eq!(Readings::of(path), None, "{path}");
        }
    }

    #[test]
    fn a_pattern_that_could_not_match_is_refused() {
        for pattern in ["", "tickets", "/a?b", "/a#b", "/a//b", "/a/../b", "/a;b", "/%g", "/a\tb"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn more_literal_patterns_are_more_exact() {
        let rank = |text| Pattern::parse(text).unwrap().rank();
        assert!(rank("/a/b") > rank("/a/*"));
        assert!(rank("/a/b/*") > rank("/a/b"));
        assert!(rank("/a/") < rank("/a/*"), "the longer");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(path in "\\PC{0,60}", odd in "/[a-z/.%25;\\\\]{0,40}") {
            for path in [path, odd] {
                if let Some(readings) = Readings::of(&path) {
                    prop_assert!(Pattern::parse("/*").unwrap().guards(&readings));
                }
            }
        }

        #[test]
        fn what_goes_through_is_never_guarded_by_something_it_does_not_begin_with(
            tail in "[a-z./%2eEfF5cC\\\\;]{0,30}",
        ) {
            let path = format!("/assets/{tail}");
            if let Some(readings) = Readings::of(&path) {
                let through = Pattern::parse("/assets/*").unwrap().lets_through(&readings);
                let guarded = ["/tickets/*", "/t*", "/"].map(|text| Pattern::parse(text).unwrap().guards(&readings));
                prop_assert!(!(through && guarded.contains(&true)), "{path}");
            }
        }

        #[test]
        fn encoding_a_guarded_path_never_frees_it(
            tail in "[a-z0-9/]{0,12}", encode in prop::collection::vec(any::<bool>(), 24), twice: bool,
        ) {
            let mut path = String::new();
            for (at, byte) in format!("/tickets/{tail}").bytes().enumerate() {
                match (at > 0 && encode.get(at) == Some(&true), twice) {
                    (true, true) => path.push_str(&format!("%25{byte:02x}")),
                    (true, false) => path.push_str(&format!("%{byte:02X}")),
                    _ => path.push(char::from(byte)),
                }
            }
            prop_assert!(guards("/tickets/*", &path), "{path}");
        }
    }
}

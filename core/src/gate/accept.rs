//! Content negotiation: what a client wants to read, by the quality values of its headers (RFC 9110, 12.4 and 12.5).

use alloc::vec::Vec;

/// Longest header that is looked at, bytes; the rest is not read.
const HEADER_MAX: usize = 4_096;
/// Most languages that are looked at.
const LANGUAGES_MAX: usize = 20;

/// What an `Accept` header says of a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Quality in thousandths; 0 = not wanted.
    pub quality: u16,
    /// Whether it is named, not only covered by a wildcard.
    pub by_name: bool,
}

/// How much a media type is wanted. The most specific range decides. Without a header, or without any readable range in it,
/// everything is wanted, but nothing by name. O(length).
pub fn wanted(accept: Option<&str>, media: &str) -> Wanted {
    let (kind, _) = media.split_once('/').unwrap_or((media, ""));
    let mut best: Option<(u8, u16)> = None;
    let mut readable = false;
    for (range, quality) in items(accept.unwrap_or("")) {
        let Some((range_kind, range_sub)) = range.split_once('/') else { continue };
        readable = true;
        let specific = if range.eq_ignore_ascii_case(media) {
            2
        } else if range_sub == "*" && range_kind.eq_ignore_ascii_case(kind) {
            1
        } else if range == "*/*" {
            0
        } else {
            continue;
        };
        // Of the same range twice, the better one.
        if best.is_none_or(|best| (specific, quality) > best) {
            best = Some((specific, quality));
        }
    }
    match best {
        Some((specific, quality)) => Wanted { quality, by_name: specific == 2 && quality > 0 },
        None => Wanted { quality: if readable { 0 } else { 1000 }, by_name: false },
    }
}

/// The languages that are wanted, best first; of equal ones the first first. `*` is left out. O(length).
pub fn languages(header: Option<&str>) -> Vec<&str> {
    let named = |tag: &str| {
        !tag.is_empty() && tag.len() <= 35 && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let mut found: Vec<(&str, u16)> =
        items(header.unwrap_or("")).filter(|(tag, quality)| named(tag) && *quality > 0).take(LANGUAGES_MAX).collect();
    found.sort_by_key(|(_, quality)| core::cmp::Reverse(*quality));
    found.into_iter().map(|(tag, _)| tag).collect()
}

/// The items of a list with their qualities in thousandths. What cannot be read as a quality counts as 1000.
fn items(header: &str) -> impl Iterator<Item = (&str, u16)> {
    let mut end = header.len().min(HEADER_MAX);
    while !header.is_char_boundary(end) {
        end -= 1;
    }
    header[..end].split(',').filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let value = parts.next().filter(|value| !value.is_empty())?;
        let quality = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| quality(value.trim()))
        });
        Some((value, quality.flatten().unwrap_or(1000)))
    })
}

/// `0`, `1`, `0.5`, `0.123`, `1.000`, in thousandths.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut thousandths = 0;
    for at in 0..3 {
        thousandths = thousandths * 10 + u16::from(fraction.as_bytes().get(at).map_or(0, |digit| digit - b'0'));
    }
    Some(if whole == "1" { 1000 } else { thousandths })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_most_specific_range_decides() {
        for (accept, media, quality, by_name) in [
            (None, "text/html", 1000, false),
            (Some(""), "text/html", 1000, false),
            (Some("garbage"), "text/html", 1000, false),
            (Some(",,;;q=,"), "text/html", 1000, false),
            (Some("*/*"), "text/html", 1000, false),
            (Some("text/html"), "application/json", 0, false),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), "text/html", 1000, true),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), "application/json", 800, false),
            (Some("application/json, text/plain, */*"), "application/json", 1000, true),
            (Some("application/json;q=0.2, text/*;q=0.9"), "text/html", 900, false),
            (Some("application/json;charset=utf-8; Q=0.5"), "application/json", 500, true),
            (Some("application/json;q=0, */*"), "application/json", 0, false),
            (Some("Application/JSON"), "application/json", 1000, true),
            (Some("application/json;q=7"), "application/json", 1000, true),
            (Some("application/json;q=0.1, application/json;q=0.3"), "application/json", 300, true),
        ] {
            assert_eq!(wanted(accept, media), Wanted { quality, by_name }, "{accept:?} {media}");
        }
    }

    #[test]
    fn languages_come_best_first() {
        assert_eq!(languages(Some("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7")), ["ko-KR", "ko", "en-US", "en"]);
        assert_eq!(languages(Some("en;q=0.1, *;q=0.5, ko, de;q=0, x y, <b>")), ["ko", "en"]);
        assert_eq!(languages(None), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in "\\PC{0,300}", list in "[a-z*/;=q0-9., ]{0,200}") {
            for header in [&header, &list] {
                prop_assert!(wanted(Some(header), "text/html").quality <= 1000);
                prop_assert!(languages(Some(header)).len() <= LANGUAGES_MAX);
            }
        }
    }
}

//! Which language a person reads.

/// The languages of an `Accept-Language` header, best first; those refused with `q=0` are left out. At most 20, since
/// nobody reads more.
pub fn accepted(header: &str) -> Vec<&str> {
    let mut found: Vec<(&str, f32)> = header
        .split(',')
        .take(20)
        .filter_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let tag = parts.next().filter(|tag| !tag.is_empty())?;
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |quality| quality.parse::<f32>().ok())?;
            (quality > 0.0).then_some((tag, quality))
        })
        .collect();
    // Stable: among equals the first one named stays first.
    found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    found.into_iter().map(|(tag, _)| tag).collect()
}

/// Index in `offered` of the best language for somebody who reads `wanted`, best first: the tag itself, or else the same
/// language from elsewhere, or else the first one offered.
pub(crate) fn choose(wanted: &[&str], offered: &[&str]) -> usize {
    let primary = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    for tag in wanted {
        let exact = offered.iter().position(|offer| offer.eq_ignore_ascii_case(tag));
        if let Some(at) = exact.or_else(|| offered.iter().position(|offer| primary(offer) == primary(tag))) {
            return at;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_best_first() {
        for (header, languages) in [
            ("ko-KR,ko;q=0.9,en;q=0.8", vec!["ko-KR", "ko", "en"]),
            ("en;q=0.5, ko", vec!["ko", "en"]),
            ("en;q=0, *", vec!["*"]),
            ("", vec![]),
            (";;;,,q=,en;q=x,de;q=NaN", vec!["q="]),
        ] {
            assert_eq!(accepted(header), languages, "{header}");
        }
    }

    #[test]
    fn a_language_is_found_whatever_the_region() {
        let offered = ["en", "ko", "pt-BR"];
        for (wanted, at) in
            [(vec!["ko-KR"], 1), (vec!["de", "KO"], 1), (vec!["pt"], 2), (vec!["de"], 0), (vec![], 0), (vec!["*"], 0)]
        {
            assert_eq!(choose(&wanted, &offered), at, "{wanted:?}");
        }
    }
}

//! What the page says: one file of texts a language, and how numbers and times go into them.
//!
//! While a page is open its script says the same with the browser's own knowledge of languages. `tests/words.json`
//! holds both to the same numbers and the same texts.

use serde_json::Value;
use upon::Value as Shown;

/// Every file of `words/`: tag and content, in the order of their names.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/languages.rs"));

/// The texts of a language.
#[derive(Clone, Debug)]
pub struct Words {
    tag: &'static str,
    texts: Value,
    shown: Shown,
}

impl Words {
    /// All languages there are. Parses every file: some 100 µs.
    pub fn every() -> Vec<Self> {
        let parsed = FILES.iter().filter_map(|(tag, file)| {
            // A file that is not JSON is no language; a test finds it.
            let texts: Value = serde_json::from_str(file).ok()?;
            Some(Self { tag, shown: shown(&texts), texts })
        });
        parsed.collect()
    }

    /// Its tag, such as `en`.
    pub fn tag(&self) -> &'static str {
        self.tag
    }

    /// `ltr` or `rtl`.
    pub fn dir(&self) -> &str {
        self.text("/dir")
    }

    /// "12 minutes", rounded as people say it.
    pub fn about(&self, sec: u64) -> String {
        let (n, unit) = rounded(sec);
        self.count(&["/units/", unit].concat(), n)
    }

    /// "10–17 minutes". Never narrower than `low` to `high`, both in seconds.
    pub fn range(&self, low: u64, high: u64) -> String {
        let (from, to, unit) = spanned(low, high);
        let high = || self.count(&["/units/", unit].concat(), to);
        if from == 0 {
            return self.fill("/live/under", "time", &high());
        }
        if from >= to {
            return self.fill("/live/about", "time", &high());
        }
        let text = self.form(&["/spans/", unit].concat(), to);
        text.replacen("{low}", &self.grouped(from), 1).replacen("{high}", &self.grouped(to), 1)
    }

    /// "1:05", "2:00:00"; from two days on "3 days".
    pub fn clock(&self, sec: u64) -> String {
        let (min, rest) = (sec / 60, sec % 60);
        match sec {
            0..3_600 => format!("{min}:{rest:02}"),
            3_600..172_800 => format!("{}:{:02}:{rest:02}", min / 60, min % 60),
            _ => self.count("/units/day", sec / 86_400),
        }
    }

    /// "12,345".
    pub fn grouped(&self, n: u64) -> String {
        let digits = n.to_string();
        let mut text = String::with_capacity(digits.len() * 2);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push_str(self.text("/group"));
            }
            text.push(digit);
        }
        text
    }

    /// All texts, for templates.
    pub(crate) fn shown(&self) -> Shown {
        self.shown.clone()
    }

    /// What is at `path`, for the script.
    pub(crate) fn part(&self, path: &str) -> &Value {
        self.texts.pointer(path).unwrap_or(&Value::Null)
    }

    /// The text at `path`, such as `/live/soon`; nothing where there is none.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.part(path).as_str().unwrap_or_default()
    }

    /// The text at `path` with `n` in it, in the form that goes with `n`.
    pub(crate) fn count(&self, path: &str, n: u64) -> String {
        self.form(path, n).replacen("{n}", &self.grouped(n), 1)
    }

    /// The text at `path` with `value` for `{name}`.
    pub(crate) fn fill(&self, path: &str, name: &str, value: &str) -> String {
        self.text(path).replacen(&["{", name, "}"].concat(), value, 1)
    }

    fn form(&self, path: &str, n: u64) -> &str {
        let text = self.part(path);
        let form = || text.get(plural(self.text("/plural"), n)).or_else(|| text.get("other"));
        text.as_str().or_else(|| form()?.as_str()).unwrap_or_default()
    }
}

/// Texts as templates read them.
fn shown(texts: &Value) -> Shown {
    match texts {
        Value::Object(object) => Shown::Map(object.iter().map(|(name, value)| (name.clone(), shown(value))).collect()),
        text => Shown::from(text.as_str().unwrap_or_default()),
    }
}

/// How big a number may be written: `s` fits the page with the largest letters, `l` needs the smallest.
pub(crate) fn size(text: &str) -> &'static str {
    match text.chars().count() {
        0..=5 => "s",
        6..=9 => "m",
        _ => "l",
    }
}

/// The plural form of `n` in a language whose file names the rule `rule`. The rules are those of Unicode CLDR for whole
/// numbers; a rule that is not here reads as `none`.
fn plural(rule: &str, n: u64) -> &'static str {
    let (tens, units) = (n % 100, n % 10);
    let few = (2..=4).contains(&units) && !(12..=14).contains(&tens);
    match rule {
        "one" if n == 1 => "one",
        "zero_one" if n < 2 => "one",
        "east_slavic" if units == 1 && tens != 11 => "one",
        "east_slavic" | "polish" if few => "few",
        "polish" | "czech" if n == 1 => "one",
        "east_slavic" | "polish" => "many",
        "czech" if (2..=4).contains(&n) => "few",
        "arabic" => match (n, tens) {
            (0, _) => "zero",
            (1, _) => "one",
            (2, _) => "two",
            (_, 3..=10) => "few",
            (_, 11..=99) => "many",
            _ => "other",
        },
        _ => "other",
    }
}

fn rounded(sec: u64) -> (u64, &'static str) {
    match sec {
        0..10 => (sec, "second"),
        10..=90 => ((sec + 2) / 5 * 5, "second"),
        91..1_170 => ((sec + 30) / 60, "minute"),
        1_170..=7_200 => ((sec + 150) / 300 * 5, "minute"),
        7_201..=172_800 => ((sec + 1_800) / 3_600, "hour"),
        _ => (sec.saturating_add(43_200) / 86_400, "day"),
    }
}

fn spanned(low: u64, high: u64) -> (u64, u64, &'static str) {
    let (step, size, unit) = match high {
        0..=10 => (1, 1, "second"),
        11..=90 => (5, 1, "second"),
        91..1_170 => (60, 60, "minute"),
        1_170..=7_200 => (300, 60, "minute"),
        7_201..=172_800 => (3_600, 3_600, "hour"),
        _ => (86_400, 86_400, "day"),
    };
    (low / step * (step / size), (high.div_ceil(step) * (step / size)).max(1), unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The rows of `tests/words.json`, which `tests/words.mjs` reads too.
    fn vectors() -> Value {
        serde_json::from_str(include_str!("../tests/words.json")).expect("the vectors are JSON")
    }

    fn rows<'a>(vectors: &'a Value, name: &str) -> impl Iterator<Item = (&'a Vec<Value>, &'a str, Words)> {
        let every = Words::every();
        let rows = vectors[name].as_array().expect("a list");
        rows.iter().flat_map(move |row| {
            let said = row["said"].as_object().expect("texts by language");
            let every = every.clone();
            said.iter().map(move |(tag, text)| {
                let words = every.iter().find(|words| words.tag() == tag).expect("a language there is").clone();
                (row["of"].as_array().expect("numbers"), text.as_str().expect("a text"), words)
            })
        })
    }

    fn number(of: &[Value], at: usize) -> u64 {
        of[at].as_u64().expect("a number")
    }

    #[test]
    fn numbers_and_times_are_said_as_in_the_table_that_the_script_is_held_to() {
        let vectors = vectors();
        for (of, said, words) in rows(&vectors, "about") {
            assert_eq!(words.about(number(of, 0)), said, "{of:?}");
        }
        for (of, said, words) in rows(&vectors, "range") {
            assert_eq!(words.range(number(of, 0), number(of, 1)), said, "{of:?}");
        }
        for (of, said, words) in rows(&vectors, "clock") {
            assert_eq!(words.clock(number(of, 0)), said, "{of:?}");
        }
        for (of, said, words) in rows(&vectors, "grouped") {
            assert_eq!(words.grouped(number(of, 0)), said, "{of:?}");
        }
        for row in vectors["size"].as_array().expect("a list") {
            assert_eq!(size(row[0].as_str().expect("a text")), row[1], "{row}");
        }
    }

    #[test]
    fn plural_forms_are_those_that_browsers_choose() {
        let vectors = vectors();
        for (rule, row) in vectors["plural"].as_object().expect("rules") {
            for (n, form) in row["forms"].as_object().expect("forms by number") {
                assert_eq!(plural(rule, n.parse().expect("a number")), form, "{rule} {n}");
            }
        }
    }

    /// Paths of all texts; a text with plural forms is one, and its forms are checked against the language's rule.
    fn paths(words: &Words, at: &str, value: &Value, into: &mut BTreeMap<String, String>) {
        let forms = ["zero", "one", "two", "few", "many", "other"];
        match value.as_object() {
            Some(object) if object.contains_key("other") => {
                let needed: Vec<_> = (0..200).map(|n| plural(words.text("/plural"), n)).collect();
                for form in forms {
                    let needed = needed.contains(&form) || form == "other";
                    let has = object.contains_key(form);
                    // CLDR's `other` is for fractions in some languages, and browsers may ask for it.
                    assert_eq!(has, needed, "{}: {at}/{form}", words.tag());
                }
                into.insert(at.to_owned(), holes(object["other"].as_str().expect("a text")));
            }
            Some(object) => {
                for (name, value) in object {
                    paths(words, &format!("{at}/{name}"), value, into);
                }
            }
            None => {
                let text = value.as_str().expect("texts and nothing else");
                assert!(!text.is_empty(), "{}: {at} is empty", words.tag());
                into.insert(at.to_owned(), holes(text));
            }
        }
    }

    /// The names in braces, in alphabetical order.
    fn holes(text: &str) -> String {
        let mut names: Vec<_> = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        names.sort_unstable();
        names.join(",")
    }

    #[test]
    fn every_language_has_every_text_with_the_same_holes_and_the_plural_forms_of_its_rule() {
        let every = Words::every();
        assert_eq!(every.len(), FILES.len(), "a file is not JSON");
        let all = |words: &Words| {
            let mut found = BTreeMap::new();
            paths(words, "", &words.texts, &mut found);
            found
        };
        let english = all(every.iter().find(|words| words.tag() == "en").expect("English"));
        for words in &every {
            assert_eq!(all(words), english, "{}", words.tag());
            assert!(["ltr", "rtl"].contains(&words.dir()), "{}", words.tag());
        }
    }
}

//! What the pages say: one file of texts, and how numbers and durations go into them.
//!
//! `wait.js` says the same with the same texts while a page is open.

use serde_json::Value;

/// The texts of a language.
pub struct Words(Value);

impl Words {
    /// English.
    pub fn english() -> Self {
        Self(serde_json::from_str(include_str!("assets/words.json")).expect("the texts are JSON"))
    }

    /// All of them, for templates.
    pub fn all(&self) -> &Value {
        &self.0
    }

    /// The text at `path`, such as `/live/soon`.
    pub fn text(&self, path: &str) -> &str {
        self.0.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("there is a text at {path}"))
    }

    /// The text at `path` with `n` in it, in the form that goes with `n`.
    pub fn count(&self, path: &str, n: u64) -> String {
        let text = match self.0.pointer(path) {
            Some(Value::Object(forms)) => &forms[if n == 1 { "one" } else { "other" }],
            Some(text) => text,
            None => panic!("there is a text at {path}"),
        };
        text.as_str().expect("a text or its forms").replace("{n}", &grouped(n))
    }

    /// "about 40 seconds".
    pub fn about(&self, sec: u64) -> String {
        match sec {
            0 => self.text("/live/soon").to_owned(),
            1..10 => self.count("/live/about_second", sec),
            10..=90 => self.count("/live/about_second", (sec + 2) / 5 * 5),
            _ => self.count("/live/about_minute", (sec + 30) / 60),
        }
    }

    /// "35 to 50 seconds". Never narrower than `low` to `high`.
    pub fn range(&self, low: u64, high: u64) -> String {
        let (step, size, unit) = match high {
            0..=10 => (1, 1, "second"),
            11..=90 => (5, 1, "second"),
            _ => (60, 60, "minute"),
        };
        let from = low / step * step / size;
        let to = (high.div_ceil(step) * step / size).max(1);
        match from {
            0 => self.count(&format!("/live/under_{unit}"), to),
            _ if from == to => self.count(&format!("/live/about_{unit}"), to),
            _ => {
                let text = self.text(&format!("/live/range_{unit}"));
                text.replace("{low}", &grouped(from)).replace("{high}", &grouped(to))
            }
        }
    }
}

/// "1:05".
pub fn clock(sec: u64) -> String {
    format!("{}:{:02}", sec / 60, sec % 60)
}

/// "12,345".
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        let words = Words::english();
        for (sec, said) in [
            (0, "any moment now"),
            (1, "about 1 second"),
            (9, "about 9 seconds"),
            (12, "about 10 seconds"),
            (13, "about 15 seconds"),
            (90, "about 90 seconds"),
            (91, "about 2 minutes"),
            (4_000, "about 67 minutes"),
        ] {
            assert_eq!(words.about(sec), said, "{sec}");
        }
        for (low, high, said) in [
            (0, 0, "less than a second"),
            (0, 4, "less than 4 seconds"),
            (3, 8, "3 to 8 seconds"),
            (4, 21, "less than 25 seconds"),
            (36, 49, "35 to 50 seconds"),
            (40, 40, "about 40 seconds"),
            (80, 100, "1 to 2 minutes"),
            (30, 91, "less than 2 minutes"),
            (600, 1_000, "10 to 17 minutes"),
        ] {
            assert_eq!(words.range(low, high), said, "{low} {high}");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        for (n, said) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(n), said);
        }
        assert_eq!(clock(65), "1:05");
    }
}

//! An operator's colours, logo, corners and letters: checked so that nothing else can come of them, and completed so that
//! everything stays readable.

use anteroom_core::settings::Problem;
use std::collections::BTreeMap;

/// Least contrast of text with what it stands on (WCAG 2.2, 1.4.3).
const READABLE: f64 = 4.5;
/// Kept above it, since colours are rounded.
const SAFE: f64 = 4.6;

/// Names of the colours, in light and in dark.
const COLOURS: [&str; 8] =
    ["accent", "background", "surface", "text", "dark_accent", "dark_background", "dark_surface", "dark_text"];

const FONTS: [(&str, &str); 4] = [
    ("system", "system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",\"Noto Sans KR\",sans-serif"),
    ("serif", "ui-serif,Georgia,\"Noto Serif\",\"Noto Serif KR\",serif"),
    ("rounded", "ui-rounded,\"SF Pro Rounded\",\"Hiragino Maru Gothic ProN\",Quicksand,system-ui,sans-serif"),
    ("mono", "ui-monospace,Menlo,Consolas,\"Noto Sans Mono\",monospace"),
];

/// What is wrong with a theme, by field.
pub(crate) fn check(theme: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |name: &str, what: String| {
        let name: String = name.chars().take(60).collect();
        problems.push(Problem { field: format!("page.theme.{name}"), what });
    };
    for (name, value) in theme {
        let shown: String = value.chars().take(60).collect();
        match name.as_str() {
            colour if COLOURS.contains(&colour) => {
                if Rgb::parse(value).is_none() {
                    wrong(name, format!("must be a colour such as #1f6f5c, not {shown:?}"));
                }
            }
            "logo" => {
                if !is_logo(value) {
                    let what = "must be a path on the same site that begins with one /, or a data: URI of a PNG, JPEG, GIF, \
                                WebP, AVIF or SVG image, without spaces, quotes, angle brackets or backslashes";
                    wrong(name, format!("{what}, not {shown:?}"));
                }
            }
            "radius" => {
                if radius(value).is_none() {
                    wrong(name, format!("must be 0px to 32px in whole pixels, not {shown:?}"));
                }
            }
            "font" => {
                if font(value).is_none() {
                    wrong(name, format!("must be one of system, serif, rounded and mono, not {shown:?}"));
                }
            }
            _ => {
                let known = COLOURS.join(", ");
                wrong(name, format!("is not part of a theme; there are {known}, logo, radius and font"));
            }
        }
    }
    for (dark, prefix) in [(false, ""), (true, "dark_")] {
        let palette = Palette::of(theme, dark);
        for (name, ground) in [("background", palette.background), ("surface", palette.surface)] {
            let contrast = palette.text.contrast(ground);
            if contrast < READABLE {
                let text = [prefix, "text"].concat();
                wrong(
                    &text,
                    format!(
                        "{} on {prefix}{name} {} has a contrast of {contrast:.1}; text needs {READABLE} to be readable",
                        palette.text.hex(),
                        ground.hex()
                    ),
                );
            }
        }
    }
    problems
}

/// The theme as CSS variables for both schemes. Values that [`check`] would not let pass are left out, so nothing here
/// can end a declaration, a rule or the style.
pub(crate) fn css(theme: &BTreeMap<String, String>) -> String {
    let font = theme.get("font").and_then(|name| font(name)).unwrap_or(FONTS[0].1);
    let radius = theme.get("radius").and_then(|text| radius(text)).unwrap_or(20);
    let light = Palette::of(theme, false).css();
    let dark = Palette::of(theme, true).css();
    format!(
        ":root{{color-scheme:light dark;--font:{font};--radius:{radius}px;{light}}}\n\
         @media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )
}

/// The logo's address, if it is one that may be shown.
pub(crate) fn logo(theme: &BTreeMap<String, String>) -> Option<&str> {
    theme.get("logo").map(String::as_str).filter(|logo| is_logo(logo))
}

fn is_logo(value: &str) -> bool {
    let plain = value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\`".contains(&byte));
    let path = value.starts_with('/') && !value.starts_with("//");
    let image = value.strip_prefix("data:image/").is_some_and(|rest| {
        let kind = rest.split([';', ',']).next().unwrap_or_default();
        ["png", "jpeg", "gif", "webp", "avif", "svg+xml"].contains(&kind) && rest.contains(',')
    });
    plain && (path || image)
}

fn radius(value: &str) -> Option<u8> {
    let digits = value.strip_suffix("px")?;
    let pixels = digits.parse().ok().filter(|pixels| *pixels <= 32)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(pixels)
}

fn font(name: &str) -> Option<&'static str> {
    FONTS.iter().find(|(known, _)| *known == name).map(|(_, stack)| *stack)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Rgb([u8; 3]);

impl Rgb {
    const WHITE: Self = Self([255; 3]);
    const BLACK: Self = Self([16, 18, 20]);

    /// `#rgb` or `#rrggbb`.
    fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix('#')?;
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let number = u32::from_str_radix(hex, 16).ok()?;
        let [_, r, g, b] = match hex.len() {
            6 => number.to_be_bytes(),
            3 => [0, (number >> 8) as u8 * 17, (number >> 4 & 15) as u8 * 17, (number & 15) as u8 * 17],
            _ => return None,
        };
        Some(Self([r, g, b]))
    }

    fn hex(self) -> String {
        let [r, g, b] = self.0;
        format!("#{r:02x}{g:02x}{b:02x}")
    }

    /// This with `share` (0 to 1) of `other` in it.
    fn mixed(self, other: Self, share: f64) -> Self {
        let mut mix = self.0;
        for (at, part) in mix.iter_mut().enumerate() {
            *part = (f64::from(*part) * (1.0 - share) + f64::from(other.0[at]) * share).round() as u8;
        }
        Self(mix)
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let [r, g, b] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// Contrast ratio, 1 to 21 (WCAG 2.2).
    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance() + 0.05, other.luminance() + 0.05);
        (one / other).max(other / one)
    }

    /// This, moved towards `goal` until it is readable on all of `grounds`.
    fn readable(self, goal: Self, grounds: &[Self]) -> Self {
        let steps = (0..=20).map(|step| self.mixed(goal, f64::from(step) / 20.0));
        let found = steps.into_iter().find(|colour| grounds.iter().all(|ground| colour.contrast(*ground) >= SAFE));
        found.unwrap_or(goal)
    }
}

/// The colours of one scheme.
#[derive(Clone, Copy, Debug)]
struct Palette {
    background: Rgb,
    surface: Rgb,
    text: Rgb,
    accent: Rgb,
}

impl Palette {
    const LIGHT: Self = Self {
        background: Rgb([0xf3, 0xf1, 0xea]),
        surface: Rgb([0xff, 0xff, 0xff]),
        text: Rgb([0x1d, 0x24, 0x21]),
        accent: Rgb([0x1c, 0x6b, 0x57]),
    };
    const DARK: Self = Self {
        background: Rgb([0x11, 0x15, 0x13]),
        surface: Rgb([0x1b, 0x21, 0x1e]),
        text: Rgb([0xec, 0xf1, 0xee]),
        accent: Rgb([0x7f, 0xd4, 0xb8]),
    };

    fn of(theme: &BTreeMap<String, String>, dark: bool) -> Self {
        let (prefix, default) = if dark { ("dark_", Self::DARK) } else { ("", Self::LIGHT) };
        let colour = |name: &str| theme.get(&[prefix, name].concat()).and_then(|text| Rgb::parse(text));
        let surface = colour("surface").unwrap_or(default.surface);
        // A brand's colour in dark, where the operator names none for it: the same, lighter.
        let lifted = || {
            let accent = theme.get("accent").filter(|_| dark).and_then(|text| Rgb::parse(text))?;
            Some(accent.readable(Rgb::WHITE, &[surface]))
        };
        Self {
            background: colour("background").unwrap_or(default.background),
            surface,
            text: colour("text").unwrap_or(default.text),
            accent: colour("accent").or_else(lifted).unwrap_or(default.accent),
        }
    }

    fn css(self) -> String {
        let Self { background, surface, text, accent } = self;
        let glow = background.mixed(accent, 0.14);
        let grounds = [background, surface, glow];
        let muted = text.mixed(background, 0.34).readable(text, &grounds);
        let on = if accent.contrast(Rgb::WHITE) >= READABLE { Rgb::WHITE } else { Rgb::BLACK };
        let variables = [
            ("paper", background),
            ("card", surface),
            ("ink", text),
            ("accent", accent),
            ("muted", muted),
            ("glow", glow),
            ("line", surface.mixed(text, 0.16)),
            ("link", accent.readable(text, &grounds)),
            ("on", on),
        ];
        variables.map(|(name, colour)| format!("--{name}:{}", colour.hex())).join(";")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(values: &[(&str, &str)]) -> BTreeMap<String, String> {
        values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_good_theme_passes_and_shows() {
        let theme = theme(&[
            ("accent", "#b3471a"),
            ("background", "#fff"),
            ("dark_accent", "#f2a65a"),
            ("radius", "8px"),
            ("font", "serif"),
            ("logo", "/static/logo.svg?v=2"),
        ]);
        assert_eq!(check(&theme), []);
        let css = css(&theme);
        for part in ["--accent:#b3471a", "--paper:#ffffff", "--accent:#f2a65a", "--radius:8px", "Georgia"] {
            assert!(css.contains(part), "{part} in {css}");
        }
        assert_eq!(logo(&theme), Some("/static/logo.svg?v=2"));
    }

    #[test]
    fn what_could_become_something_else_is_refused_and_left_out() {
        for (name, value) in [
            ("accent", "red;}body{display:none"),
            ("accent", "#12345"),
            ("accent", "#+12"),
            ("accent", "#é1"),
            ("text", "</style><script>"),
            ("radius", "8px;color:red"),
            ("radius", "+8px"),
            ("radius", "99px"),
            ("font", "Comic Sans"),
            ("logo", "//evil.example/x.png"),
            ("logo", "/\\evil.example/x.png"),
            ("logo", "https://evil.example/x.png"),
            ("logo", "javascript:alert(1)"),
            ("logo", "data:text/html,<script>"),
            ("logo", "data:image/svg+xml,<svg>"),
            ("logo", "data:image/png"),
            ("logo", "/a\" onerror=\"x"),
            ("shadow", "none"),
        ] {
            let theme = theme(&[(name, value)]);
            let problems = check(&theme);
            assert_eq!(problems.len(), 1, "{name} {value}: {problems:?}");
            assert_eq!(problems[0].field, format!("page.theme.{name}"));
            assert_eq!(css(&theme), css(&BTreeMap::new()), "{value}");
            assert_eq!(logo(&theme), None, "{value}");
        }
    }

    #[test]
    fn text_that_nobody_can_read_is_refused() {
        let problems = check(&theme(&[("text", "#999999")]));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].to_string().contains("contrast of 2."), "{}", problems[0]);
        assert_eq!(check(&theme(&[("dark_text", "#333")])).len(), 2);
    }

    #[test]
    fn everything_is_readable_whatever_the_accent() {
        for accent in ["#ffcc00", "#ff0000", "#000000", "#ffffff", "#1c6b57", "#808080", "#0000ff"] {
            for dark in [false, true] {
                let values = theme(&[("accent", accent)]);
                let palette = Palette::of(&values, dark);
                let css = palette.css();
                let colour = |name: &str| {
                    let from = css.find(&format!("--{name}:")).expect("it is there") + name.len() + 3;
                    Rgb::parse(&css[from..from + 7]).expect("a colour")
                };
                for (text, ground) in [
                    ("ink", "paper"),
                    ("ink", "card"),
                    ("ink", "glow"),
                    ("muted", "paper"),
                    ("muted", "card"),
                    ("muted", "glow"),
                    ("link", "paper"),
                    ("link", "card"),
                    ("on", "accent"),
                ] {
                    let contrast = colour(text).contrast(colour(ground));
                    assert!(contrast >= READABLE, "{accent} dark {dark}: {text} on {ground} {contrast:.2}");
                }
            }
        }
    }
}

//! Templates: the built-in parts, an operator's own on top of them, and what keeps one from hurting a host.

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};
use std::error::Error as _;
use std::io;

/// Where rendering starts. An operator's template takes this name's place.
const BUILT_IN: &str = "layout.html";
/// An operator's template.
const OWN: &str = "page.html";

const PARTS: [(&str, &str); 8] = [
    (BUILT_IN, include_str!("../assets/layout.html")),
    ("head.html", include_str!("../assets/head.html")),
    ("script.html", include_str!("../assets/script.html")),
    ("main.html", include_str!("../assets/main.html")),
    ("line.html", include_str!("../assets/line.html")),
    ("notice.html", include_str!("../assets/notice.html")),
    ("message.html", include_str!("../assets/message.html")),
    ("fields.html", include_str!("../assets/fields.html")),
];

/// Steps a template may take for one page. The built-in one takes about 500.
const FUEL: u64 = 20_000;
/// Parts within parts.
const DEPTH: usize = 60;
/// Most bytes of a page.
pub(crate) const LONGEST: usize = 256 * 1024;

/// Templates, ready to be rendered.
#[derive(Clone, Debug)]
pub(crate) struct Templates(Environment<'static>);

impl Templates {
    /// The built-in ones.
    pub(crate) fn built_in() -> Self {
        // Empty: whatever filters and functions a host's own templates brought along, an operator's template means the
        // same at every host.
        let mut all = Environment::empty();
        all.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        all.set_auto_escape_callback(|_| AutoEscape::Html);
        all.set_fuel(Some(FUEL));
        all.set_recursion_limit(DEPTH);
        for (name, source) in PARTS {
            // A part that is not well formed would be missing; a test renders them all.
            let _ = all.add_template(name, source);
        }
        Self(all)
    }

    /// These and an operator's on top.
    ///
    /// # Errors
    ///
    /// What is wrong with its syntax, and in which line.
    pub(crate) fn with(&self, own: &str) -> Result<Self, String> {
        let mut all = self.0.clone();
        all.add_template_owned(OWN, own.to_owned()).map_err(|error| said(&error))?;
        Ok(Self(all))
    }

    /// The page: the operator's template where there is one.
    ///
    /// # Errors
    ///
    /// What went wrong, and in which line.
    pub(crate) fn render(&self, facts: Value) -> Result<String, String> {
        let template = self.0.get_template(OWN).or_else(|_| self.0.get_template(BUILT_IN));
        let mut page = Page(Vec::with_capacity(16 * 1024));
        template.and_then(|template| template.render_captured_to(facts, &mut page)).map_err(|error| said(&error))?;
        String::from_utf8(page.0).map_err(|error| error.to_string())
    }
}

/// Collects a page that may not grow for ever.
struct Page(Vec<u8>);

impl io::Write for Page {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.0.len() + part.len() > LONGEST {
            return Err(io::Error::other("the page grows over 256 KiB"));
        }
        self.0.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The innermost cause is what helps; it may be in a built-in part that was handed something else than it expects.
fn said(error: &Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source().and_then(|inner| inner.downcast_ref::<Error>()) {
        cause = inner;
    }
    let place = match (cause.name(), cause.line()) {
        (None | Some(OWN), Some(line)) => format!("line {line}: "),
        (Some(name), Some(line)) => format!("line {line} of {name}: "),
        _ => String::new(),
    };
    let detail = cause.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    let outside = cause.source().map(|outside| format!(": {outside}")).unwrap_or_default();
    format!("{place}{}{detail}{outside}", cause.kind())
}

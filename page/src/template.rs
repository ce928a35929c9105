//! Templates: the built-in parts, an operator's own in their place, and what keeps one from hurting a host.

use crate::bounds;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use upon::fmt::Formatter;
use upon::{Engine, Error, Template, Value};

/// Where rendering starts. An operator's template takes its place.
const BUILT_IN: &str = "layout.html";

const PARTS: [(&str, &str); 9] = [
    (BUILT_IN, include_str!("../assets/layout.html")),
    ("head.html", include_str!("../assets/head.html")),
    ("header.html", include_str!("../assets/header.html")),
    ("script.html", include_str!("../assets/script.html")),
    ("main.html", include_str!("../assets/main.html")),
    ("line.html", include_str!("../assets/line.html")),
    ("notice.html", include_str!("../assets/notice.html")),
    ("message.html", include_str!("../assets/message.html")),
    ("fields.html", include_str!("../assets/fields.html")),
];

/// Parts within parts. The built-in ones need five with an operator's template around them.
const DEPTH: usize = 8;
/// Most bytes of a page.
const LONGEST: usize = 256 * 1024;

/// Templates, ready to be rendered.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    built_in: Arc<Engine<'static>>,
    own: Option<Arc<Template<'static>>>,
}

impl Templates {
    /// The built-in ones.
    pub(crate) fn built_in() -> Self {
        let mut all = Engine::new();
        all.set_default_formatter(&show);
        all.set_max_include_depth(DEPTH);
        for (name, source) in PARTS {
            // A part that is not well formed would be missing; a test renders them all.
            let _ = all.add_template(name, source.trim_end());
        }
        Self { built_in: Arc::new(all), own: None }
    }

    /// These and an operator's on top, which may include them and nothing else.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and in which line.
    pub(crate) fn with(&self, own: &str) -> Result<Self, String> {
        bounds::keep(own)?;
        let engine = &self.built_in;
        let compiled = engine.compile(own.to_owned()).map_err(|error| {
            let line = plain(own).and_then(|plain| own_line(&engine.compile(plain).err()?));
            said(&error, line)
        })?;
        Ok(Self { built_in: Arc::clone(engine), own: Some(Arc::new(compiled)) })
    }

    /// The page: the operator's template where there is one.
    ///
    /// # Errors
    ///
    /// What went wrong, and in which line.
    pub(crate) fn render(&self, facts: &Value) -> Result<String, String> {
        let mut page = Page(Vec::with_capacity(32 * 1024));
        let done = match &self.own {
            Some(own) => own.render_from(&self.built_in, facts).to_writer(&mut page).map_err(|error| {
                let line = plain(own.source()).and_then(|plain| {
                    let plain = self.built_in.compile(plain).ok()?;
                    own_line(&plain.render_from(&self.built_in, facts).to_writer(&mut Page(Vec::new())).err()?)
                });
                said(&error, line)
            }),
            None => match self.built_in.get_template(BUILT_IN) {
                Some(layout) => layout.render_from(facts).to_writer(&mut page).map_err(|error| said(&error, None)),
                None => Err("the built-in page is not well formed".to_owned()),
            },
        };
        done?;
        String::from_utf8(page.0).map_err(|error| error.to_string())
    }
}

/// A text that stands in the page as it is: style, script and data of our own making. It is a list of one text; whatever else
/// reaches a template is a text by itself, and templates cannot make lists.
pub(crate) fn trusted(text: String) -> Value {
    Value::List(vec![Value::String(text)])
}

/// How every value gets into a page: escaped, unless it is [`trusted`].
fn show(f: &mut Formatter<'_>, value: &Value) -> upon::fmt::Result {
    match value {
        Value::String(text) => escape(f, text)?,
        Value::List(list) => match list.as_slice() {
            [Value::String(trusted)] => f.write_str(trusted)?,
            _ => return Err("a list cannot be shown, only what is in it".into()),
        },
        other => upon::fmt::default(f, other)?,
    }
    Ok(())
}

/// Text as it may stand between tags and between quotes.
fn escape(f: &mut Formatter<'_>, text: &str) -> std::fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        let (before, from) = rest.split_at(at);
        f.write_str(before)?;
        f.write_str(match from.as_bytes()[0] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#x27;",
        })?;
        rest = &from[1..];
    }
    f.write_str(rest)
}

/// Collects a page that may not grow for ever.
struct Page(Vec<u8>);

impl io::Write for Page {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.0.len() + part.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A template with the same tags, byte for byte, all of it ASCII; `None` for one that is. The engine finds a place by bytes and
/// says it in characters, which is another line where the two differ.
fn plain(source: &str) -> Option<String> {
    let plain =
        |source: &str| source.bytes().map(|byte| if byte.is_ascii() { char::from(byte) } else { 'x' }).collect();
    (!source.is_ascii()).then(|| plain(source))
}

/// What an error says, with its place. `line` is the operator's line where it is known better.
fn said(error: &Error, line: Option<usize>) -> String {
    // The only source an error can have is the writer's.
    if std::error::Error::source(error).is_some() {
        return "the page grows over 256 KiB".to_owned();
    }
    match (place(error), line) {
        // In a built-in part that was handed something else than it expects.
        (Some((line, Some(name))), _) => format!("line {line} of {name}: {error}"),
        (Some((line, None)), None) | (_, Some(line)) => format!("line {line}: {error}"),
        (None, None) => error.to_string(),
    }
}

/// The line of an error in the operator's template.
fn own_line(error: &Error) -> Option<usize> {
    place(error).and_then(|(line, part)| part.is_none().then_some(line))
}

/// The line of an error and the built-in part it is in. The engine says it in no other way than in its long form, as
/// `--> name:line:column`.
fn place(error: &Error) -> Option<(usize, Option<&'static str>)> {
    let long = format!("{error:#}");
    let (name, rest) = long.split_once("--> ")?.1.split_once(':')?;
    let line = rest.split_once(':')?.0.parse().ok()?;
    Some((line, PARTS.map(|(part, _)| part).into_iter().find(|part| *part == name)))
}

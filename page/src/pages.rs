//! All pages of a host: parsed once, rendered often.

use crate::facts::Facts;
use crate::language::choose;
use crate::look::Look;
use crate::scene::{Ask, Scene};
use crate::template::Templates;
use crate::words::Words;
use crate::{sample, theme};
use anteroom_core::settings::{Page, Problem};
use std::borrow::Cow;

/// The built-in templates and all languages. A host has one of these.
#[derive(Clone, Debug)]
pub struct Pages {
    built_in: Templates,
    every: Vec<Words>,
}

/// A page, ready to be sent.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// HTTP status: that of the error code, otherwise 200. Also while no place can be given, because proxies put pages of
    /// their own in place of a 503.
    pub status: u16,
    /// The whole page, everything inline.
    pub html: String,
    /// Headers to send with it, names in lower case; among them `cache-control: no-store`.
    pub headers: Vec<(&'static str, String)>,
    /// What is wrong with the operator's template, when the built-in one was shown instead. For the log.
    pub problem: Option<String>,
}

impl Default for Pages {
    fn default() -> Self {
        Self::new()
    }
}

impl Pages {
    /// Everything built in, parsed: about a millisecond, once.
    pub fn new() -> Self {
        Self { built_in: Templates::built_in(), every: Words::every() }
    }

    /// The languages there are.
    pub fn languages(&self) -> impl Iterator<Item = &'static str> {
        self.every.iter().map(Words::tag)
    }

    /// Makes an operator's settings ready to be shown. Cheap without a template of their own; one is parsed here, so keep
    /// the result until the settings change. Whatever [`check`](Self::check) would refuse is left out.
    pub fn look(&self, event: &str, page: &Page) -> Look {
        Look::of(event, page, &self.every, &self.built_in)
    }

    /// Everything that is wrong with an operator's settings for the page; nothing if they are good. A template is tried on
    /// every scene: some milliseconds.
    pub fn check(&self, page: &Page) -> Vec<Problem> {
        let mut problems = theme::check(&page.theme);
        let there_are = || self.languages().collect::<Vec<_>>().join(", ");
        if page.languages.is_empty() {
            problems.push(Problem {
                field: "page.languages".into(),
                what: format!("must name at least one language; there are {}", there_are()),
            });
        }
        for (at, tag) in page.languages.iter().enumerate() {
            if !self.languages().any(|known| known.eq_ignore_ascii_case(tag)) {
                let shown: String = tag.chars().take(60).collect();
                problems.push(Problem {
                    field: format!("page.languages[{at}]"),
                    what: format!("must be a language of the page, not {shown:?}; there are {}", there_are()),
                });
            }
        }
        if page.template.is_some()
            && let Err(what) = sample::try_out(self, &self.look("event", page))
        {
            problems.push(Problem { field: "page.template".into(), what });
        }
        problems
    }

    /// The page of a scene. Some 100 µs natively; never fails: where an operator's template does, the built-in one is
    /// shown and the problem reported.
    pub fn render(&self, look: &Look, scene: &Scene<'_>, ask: &Ask<'_>) -> Rendered {
        let nonce = harmless(ask.nonce);
        let offered: Vec<&str> = look.languages.iter().filter_map(|at| self.every.get(*at)).map(Words::tag).collect();
        let chosen = look.languages.get(choose(ask.languages, &offered)).and_then(|at| self.every.get(*at));
        let Some(words) = chosen else { return bare(scene) };
        let Facts { context, status, retry_after, mark } = Facts::of(look, scene, ask, words, &nonce);
        let (own, mut problem) = match &look.own {
            Some(Ok(own)) => match own.render(&context) {
                Ok(html) => (Some(html), None),
                Err(problem) => (None, Some(problem)),
            },
            Some(Err(problem)) => (None, Some(problem.clone())),
            None => (None, None),
        };
        let html = match own.map_or_else(|| self.built_in.render(&context), Ok) {
            Ok(html) => html,
            Err(error) => {
                problem = Some(error);
                bare(scene).html
            }
        };
        Rendered { status, html, headers: headers(&nonce, words.tag(), retry_after, mark), problem }
    }
}

fn headers(nonce: &str, language: &str, retry_after: Option<u64>, mark: String) -> Vec<(&'static str, String)> {
    // A form's answer may lead on to another host of the shop, and browsers hold that to form-action as well. The
    // forms themselves are ours: nothing unescaped gets in.
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src 'self' data:; form-action 'self' https:; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut headers = vec![
        ("content-type", "text/html; charset=utf-8".to_owned()),
        ("cache-control", "no-store".to_owned()),
        ("vary", "Accept-Language, Cookie".to_owned()),
        ("content-language", language.to_owned()),
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff".to_owned()),
        // A place carried in the address must not be told to other sites; our own need to see that a form is ours.
        ("referrer-policy", "same-origin".to_owned()),
        ("x-robots-tag", "noindex".to_owned()),
        ("anteroom-scene", mark),
    ];
    if let Some(sec) = retry_after {
        headers.push(("retry-after", sec.to_string()));
    }
    headers
}

/// What may stand in a header and between quotes.
fn harmless(nonce: &str) -> Cow<'_, str> {
    let fine = |character: char| character.is_ascii_alphanumeric() || "+/_-=".contains(character);
    if nonce.chars().all(fine) {
        return Cow::Borrowed(nonce);
    }
    Cow::Owned(nonce.chars().filter(|character| fine(*character)).collect())
}

/// Better than nothing: what is left when the built-in parts themselves are broken, which the tests rule out.
fn bare(scene: &Scene<'_>) -> Rendered {
    let sec = match scene {
        Scene::Held { retry_after_sec } => (*retry_after_sec).max(1),
        _ => 10,
    };
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"{sec}\">\
         <title>Please wait</title></head><body><main><h1>Please wait</h1><p>This page loads anew by itself.</p></main>\
         </body></html>"
    );
    Rendered { status: 200, html, headers: headers("none", "en", None, "bare".to_owned()), problem: None }
}

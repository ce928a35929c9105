//! How the pages of one event look.

use crate::template::Templates;
use crate::theme;
use crate::words::Words;
use anteroom_core::settings::Page;

const STYLE: &str = include_str!(concat!(env!("OUT_DIR"), "/style.css"));

/// How the pages of one event look: an operator's settings, made ready once for many pages.
#[derive(Clone, Debug)]
pub struct Look {
    pub(crate) event: String,
    pub(crate) title: String,
    pub(crate) message: Option<String>,
    pub(crate) logo: Option<String>,
    pub(crate) style: String,
    /// Indices of the languages offered, best first; never empty unless there are no languages at all.
    pub(crate) languages: Vec<usize>,
    /// The operator's own template, or what is wrong with it.
    pub(crate) own: Option<Result<Templates, String>>,
}

impl Look {
    pub(crate) fn of(event: &str, page: &Page, every: &[Words], built_in: &Templates) -> Self {
        let find = |tag: &String| every.iter().position(|words| words.tag().eq_ignore_ascii_case(tag));
        let mut languages: Vec<usize> = page.languages.iter().filter_map(find).collect();
        if languages.is_empty() {
            languages = every.iter().position(|words| words.tag() == "en").into_iter().collect();
        }
        Self {
            event: event.to_owned(),
            title: page.title.clone().filter(|title| !title.trim().is_empty()).unwrap_or_else(|| event.to_owned()),
            message: page.message.clone().filter(|message| !message.trim().is_empty()),
            logo: theme::logo(&page.theme).map(str::to_owned),
            style: theme::css(&page.theme) + STYLE,
            languages,
            own: page.template.as_deref().map(|own| built_in.with(own)),
        }
    }
}

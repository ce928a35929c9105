//! What the gate reads of a request, as text that lasts as long as the visit.

use anteroom_core::gate::Facts;
use anteroom_core::gate::check::Description;
use axum::http::request::Parts;

/// See the module's comment.
pub(super) struct Told {
    method: String,
    target: String,
    headers: Vec<(&'static str, String)>,
}

impl Told {
    /// Reads a request. Bytes that are no text are read as Latin-1: nothing of ours has any.
    pub fn of(parts: &Parts) -> Self {
        let mut headers = Vec::with_capacity(8);
        for (name, value) in &parts.headers {
            let known = Facts::HEADERS.iter().chain(&Description::HEADERS).find(|known| **known == name.as_str());
            if let Some(name) = known {
                headers.push((*name, latin1(value.as_bytes())));
            }
        }
        // HTTP/2, and requests with a whole URL, name the host in their first line. A `Host` that says otherwise is a second one.
        if let Some(authority) = parts.uri.authority()
            && !headers.iter().any(|(name, value)| *name == "host" && value == authority.as_str())
        {
            headers.push(("host", authority.as_str().to_owned()));
        }
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
        Self { method: parts.method.as_str().to_owned(), target, headers }
    }

    /// The same with a token that came in a form.
    pub fn carrying(mut self, token: Option<String>) -> Self {
        if let Some(token) = token {
            self.headers.insert(0, ("anteroom-token", token));
        }
        self
    }

    /// The facts.
    pub fn facts(&self) -> Facts<'_> {
        let mut facts = Facts::new(&self.method, &self.target);
        self.headers.iter().for_each(|(name, value)| facts.header(name, value));
        facts
    }

    /// What it says about another request.
    pub fn description(&self) -> Description<'_> {
        let mut description = Description::default();
        self.headers.iter().for_each(|(name, value)| description.header(name, value));
        description
    }

    /// The value of a header that the gate reads.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}

/// Every byte as the character of its number: no bytes are lost, and none can be taken for another.
pub(super) fn latin1(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        _ => bytes.iter().copied().map(char::from).collect(),
    }
}

/// The bytes that [`latin1`] has read.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
}

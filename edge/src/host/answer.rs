//! Answers that are made here.

use super::random;
use anteroom_core::refusal::Refusal;
use anteroom_core::trace::{TRACEPARENT, TraceContext, X_REQUEST_ID, is_echoed};
use worker::{Result, web_sys};

/// What an answer takes over from its request.
pub(super) struct Call<'a> {
    headers: &'a web_sys::Headers,
    pub(super) trace: TraceContext,
}

impl<'a> Call<'a> {
    pub(super) fn new(headers: &'a web_sys::Headers) -> Result<Self> {
        let parent = headers.get(TRACEPARENT)?;
        let trace = parent.and_then(|parent| TraceContext::continued(parent.as_bytes(), random()));
        let fresh = || TraceContext::new(u128::from(random()) << 64 | u128::from(random()), random(), false);
        Ok(Self { headers, trace: trace.unwrap_or_else(fresh) })
    }

    /// An answer with these headers and those that every answer has. Names that come twice are sent twice.
    pub(super) fn answer<V: AsRef<str>>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'static str, V)>,
        body: Option<&str>,
    ) -> Result<web_sys::Response> {
        let out = web_sys::Headers::new()?;
        for (name, value) in headers {
            out.append(name, value.as_ref())?;
        }
        out.append(TRACEPARENT, self.trace.header().as_str())?;
        if let Some(id) = self.headers.get(X_REQUEST_ID)?.filter(|id| is_echoed(id.as_bytes())) {
            out.append(X_REQUEST_ID, &id)?;
        }
        let init = web_sys::ResponseInit::new();
        init.set_headers_headers(&out);
        init.set_status(status);
        Ok(web_sys::Response::new_with_opt_str_and_init(body, &init)?)
    }

    pub(super) fn refuse(&self, refusal: &Refusal) -> Result<web_sys::Response> {
        self.refuse_with(refusal, [])
    }

    /// The refusal with more headers, which count where both say something.
    pub(super) fn refuse_with(
        &self,
        refusal: &Refusal,
        more: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<web_sys::Response> {
        let more: Vec<_> = more.into_iter().collect();
        let own = refusal.headers().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
        let mut headers: Vec<_> = own.map(|(name, value)| (name, value.into_owned())).collect();
        headers.extend(more.iter().cloned());
        let body = refusal.body(self.trace.trace_id().as_str());
        self.answer(refusal.code().status(), headers, Some(&body))
    }
}

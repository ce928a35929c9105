//! Passes, verified with the Ed25519 of the runtime (WebCrypto): it costs the module nothing, and a pass is shown seldom.

use crate::rooms::Rooms;
use anteroom_core::token::PassClaims;
use anteroom_core::token::pass::Form;
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{self, Array, Uint8Array};
use worker::wasm_bindgen::JsCast;
use worker::{Result, console_error, web_sys};

const ED25519: &str = "Ed25519";

/// The claims of a pass that the origin has signed, run out or not; `None` for any other text.
pub(super) async fn verify(pass: &str, rooms: &Rooms) -> Option<PassClaims> {
    let form = Form::of(pass).ok()?;
    let (_, key) = rooms.passes.iter().find(|(kid, _)| *kid == form.key)?;
    match is_signed(key, &form).await {
        Ok(true) => form.claims().ok(),
        Ok(false) => None,
        Err(error) => {
            console_error!("a pass cannot be verified: {error}");
            None
        }
    }
}

async fn is_signed(key: &[u8; 32], form: &Form<'_>) -> Result<bool> {
    let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let subtle = scope.crypto()?.subtle();
    let (bytes, uses) = (Uint8Array::from(&key[..]), Array::of1(&"verify".into()));
    let key = subtle.import_key_with_str("raw", &bytes, ED25519, false, &uses)?;
    let key: web_sys::CryptoKey = JsFuture::from(key).await?.unchecked_into();
    let (signature, message) = (Uint8Array::from(&form.signature[..]), Uint8Array::from(form.message));
    let verdict = subtle.verify_with_str_and_buffer_source_and_buffer_source(ED25519, &key, &signature, &message)?;
    Ok(JsFuture::from(verdict).await?.as_bool() == Some(true))
}

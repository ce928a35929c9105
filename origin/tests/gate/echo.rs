//! The site's end of a web socket (RFC 6455): whatever is said comes back.

use aws_lc_rs::digest;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

/// Opens one.
pub async fn echo(mut request: Request) -> Response {
    let Some(key) = request.headers().get("sec-websocket-key").cloned() else {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    };
    let text = [key.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let accept = STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &text));
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
        while let Some((kind, message)) = read_frame(&mut stream).await {
            let mut frame = vec![0x80 | kind, u8::try_from(message.len()).unwrap()];
            frame.extend(&message);
            if stream.write_all(&frame).await.is_err() || kind == CLOSE {
                break;
            }
        }
    });
    let headers = [
        (header::UPGRADE.as_str(), "websocket".to_owned()),
        ("connection", "upgrade".into()),
        ("sec-websocket-accept", accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;

/// A frame of one piece, below 126 bytes: its kind and what it says.
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.ok()?;
    let mut mask = [0; 4];
    if head[1] & 0x80 != 0 {
        stream.read_exact(&mut mask).await.ok()?;
    }
    let mut message = vec![0; usize::from(head[1] & 0x7f)];
    stream.read_exact(&mut message).await.ok()?;
    message.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some((head[0] & 0x0f, message))
}

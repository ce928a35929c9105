//! Two connections that speak another protocol now: what comes from one goes to the other, until both are done.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy};

/// So long may one side go on once the other is done.
const LINGER: Duration = Duration::from_secs(10);

/// Splices the visitor's connection to the site's, in the background.
pub(super) fn splice(visitor: OnUpgrade, site: OnUpgrade) {
    tokio::spawn(async move {
        let Ok((visitor, site)) = tokio::try_join!(visitor, site) else { return };
        let (mut from_visitor, mut to_visitor) = tokio::io::split(TokioIo::new(visitor));
        let (mut from_site, mut to_site) = tokio::io::split(TokioIo::new(site));
        let mut up = std::pin::pin!(carry(&mut from_visitor, &mut to_site));
        let mut down = std::pin::pin!(carry(&mut from_site, &mut to_visitor));
        // One that is done says so to the other, which is given time to say goodbye. An error ends both.
        tokio::select! {
            done = &mut up => if done { let _ = tokio::time::timeout(LINGER, down).await; },
            done = &mut down => if done { let _ = tokio::time::timeout(LINGER, up).await; },
        }
    });
}

/// Carries everything, then closes; whether it went well.
async fn carry(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> bool {
    copy(from, to).await.is_ok() && to.shutdown().await.is_ok()
}

//! The bare server everything is compared with: axum, the same runtime and profile as the real one, one constant answer.

use axum::Router;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("hello on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().fallback(async || "hello")).await
}

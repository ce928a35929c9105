//! Web sockets: nobody opens one from outside, and messages pass both ways once inside.

use crate::echo::{BINARY, CLOSE, TEXT, read_frame};
use crate::house::{Host, House, quick};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

on_both_hosts!(messages_pass_both_ways_once_inside);

async fn messages_pass_both_ways_once_inside(host: Host) {
    let house = House::open(host, quick()).await;
    let mut visitor = house.visitor();
    visitor.page("/").await.of_the_shop();
    let head = |cookie: &str| {
        format!(
            "GET /socket HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\ncookie: {cookie}\r\n\r\n"
        )
    };
    let outside = house.raw(head("a=b").as_bytes()).await;
    assert!(outside.starts_with("HTTP/1.1 403"), "{outside}");
    let mut stream = house.connect().await;
    let cookie = format!("__Host-anteroom-session-sale={}", visitor.token("session").unwrap());
    stream.write_all(head(&cookie).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    // The accept value of the RFC's own example.
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    let bytes = [0, 255, 129];
    for (kind, message) in [(TEXT, &b"hello"[..]), (BINARY, &bytes), (TEXT, b""), (CLOSE, &[3, 232])] {
        let mut frame = vec![0x80 | kind, 0x80 | u8::try_from(message.len()).unwrap(), 1, 2, 3, 4];
        frame.extend(message.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
        stream.write_all(&frame).await.unwrap();
        assert_eq!(read_frame(&mut stream).await.unwrap(), (kind, message.to_vec()));
    }
}

//! Bodies pass as they come, in both directions, and whoever hangs up is not worked for.

use crate::house::{Host, House};
use crate::support::{Store, eventually};
use serde_json::json;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

on_both_hosts!(
    the_first_bytes_of_an_answer_arrive_before_the_last_are_made,
    the_first_bytes_of_a_request_arrive_before_the_last_are_sent,
    a_hundred_megabytes_pass_in_both_directions_in_little_memory,
    whoever_hangs_up_is_not_worked_for,
);

async fn open(host: Host) -> House {
    House::open(host, json!({"mode": "passthrough"})).await
}

async fn the_first_bytes_of_an_answer_arrive_before_the_last_are_made(host: Host) {
    let house = open(host).await;
    let (send, pieces) = mpsc::unbounded_channel();
    *house.shop.seen.pieces.lock() = Some(pieces);
    let mut stream = house.connect().await;
    stream.write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    for piece in ["one-", "two-", "three-"] {
        send.send(piece.as_bytes().into()).unwrap();
        while !String::from_utf8_lossy(&got).contains(piece) {
            got.push(stream.read_u8().await.unwrap());
        }
    }
    drop(send);
    stream.read_to_end(&mut got).await.unwrap();
    assert!(String::from_utf8_lossy(&got).ends_with("0\r\n\r\n"), "{}", String::from_utf8_lossy(&got));
}

async fn the_first_bytes_of_a_request_arrive_before_the_last_are_sent(host: Host) {
    // The worker's limit begins with the request: it does not see how far a body is.
    let more = if host == Host::Native { &[("ANTEROOM_UPSTREAM_FIRST_BYTE_SEC", "1")][..] } else { &[] };
    let house = House::set_up(host, Store::Embedded, more, &[]).await;
    let mut stream = house.connect().await;
    let head = b"POST /upload HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head).await.unwrap();
    // Longer in all than the limit for the answer: the clock for that starts when the last piece is sent.
    for count in 1..=8_u64 {
        stream.write_all(b"4\r\nfour\r\n").await.unwrap();
        eventually("the piece is there", async || {
            (house.shop.seen.bytes.load(Ordering::SeqCst) == count * 4).then_some(())
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("32"), "{answer}");
}

/// Most memory that this process has used, bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

async fn a_hundred_megabytes_pass_in_both_directions_in_little_memory(host: Host) {
    let house = open(host).await;
    let before = peak();
    let mut stream = house.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let (mut total, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            count => total += count,
        }
    }
    assert!(total > 100 << 20, "{total}");
    let mut stream = house.connect().await;
    let length = 100_u64 << 20;
    let head = format!("PUT /upload HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..100 {
        stream.write_all(&vec![7; 1 << 20]).await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with(&length.to_string()), "{answer}");
    // Other tests run in this process at the same time, and the site is in it as well.
    let more = peak().saturating_sub(before);
    assert!(more < 60 << 20, "{more} bytes more for 200 megabytes");
}

async fn whoever_hangs_up_is_not_worked_for(host: Host) {
    let house = open(host).await;
    let given_up = || house.shop.seen.given_up.load(Ordering::SeqCst);
    let mut stream = house.connect().await;
    stream.write_all(b"GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    eventually("the site is asked", async || (house.shop.requests() == 1).then_some(())).await;
    drop(stream);
    // workerd does not look at a connection while it has nothing to write there; the limit for the site's answer ends the wait.
    let before = usize::from(host == Host::Native);
    eventually("the site is told, before it has answered", async || (given_up() == before).then_some(())).await;
    let (send, pieces) = mpsc::unbounded_channel();
    *house.shop.seen.pieces.lock() = Some(pieces);
    let mut stream = house.connect().await;
    stream.write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    send.send("piece".into()).unwrap();
    stream.read_u8().await.unwrap();
    drop(stream);
    eventually("and in the middle of it", async || {
        let _ = send.send(vec![0; 1 << 16].into());
        (given_up() == before + 1).then_some(())
    })
    .await;
    let mut stream = house.connect().await;
    stream.write_all(b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nfour").await.unwrap();
    eventually("half an upload", async || (house.shop.seen.bytes.load(Ordering::SeqCst) == 4).then_some(())).await;
    drop(stream);
    eventually("is an upload given up", async || (given_up() == before + 2).then_some(())).await;
}

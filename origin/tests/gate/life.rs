//! The whole life of a visit: shown a page, called, inside, renewed, over, and again.

use crate::house::{Host, House, held, quick};
use crate::support::client::{claims_of, ticket_of};
use crate::support::eventually;
use serde_json::json;

on_both_hosts!(
    a_visitor_waits_is_called_goes_in_and_is_done,
    whoever_finds_no_line_is_let_in_at_once_with_one_cookie,
    a_session_that_is_used_lasts_and_its_cookie_with_it,
    a_program_that_carries_its_session_is_told_when_it_is_extended,
    the_site_says_when_a_visitor_is_done,
    bypasses_go_through_and_the_most_specific_room_guards,
    programs_wait_with_what_they_are_told,
    a_reset_puts_everybody_out_and_a_turn_of_another_room_lets_nobody_in,
    somebody_known_has_one_place_with_and_without_cookies,
);

async fn a_visitor_waits_is_called_goes_in_and_is_done(host: Host) {
    let house =
        House::open(host, json!({"mode": "hold", "min_wait": [], "session_sec": 2, "session_renew": false})).await;
    let mut visitor = house.visitor();
    let first = visitor.page("/tickets?day=1").await;
    assert_eq!(first.status, 200);
    first.is_page("line");
    assert_eq!(house.shop.requests(), 0, "the site is not asked");
    let place = visitor.token("wait").unwrap().clone();
    for _ in 0..3 {
        assert_eq!(visitor.page("/tickets?day=1").await.is_page("line").status, 200);
        assert_eq!(visitor.token("wait"), Some(&place), "a place is kept");
    }
    assert_eq!(visitor.post("enter", "/tickets?day=1", None).await.header("location"), Some("/tickets?day=1"));
    assert_eq!(visitor.token("session"), None, "not before the turn");
    house.put("sale", json!({"mode": "line"})).await;
    let entered = visitor.enter(&house, "/tickets?day=1").await;
    assert_eq!((entered.status, entered.header("location")), (303, Some("/tickets?day=1")));
    assert!(visitor.token("session").is_some() && visitor.token("wait").is_none());
    let inside = visitor.page("/tickets?day=1").await;
    let asked = inside.of_the_shop();
    assert_eq!((&asked["method"], &asked["target"]), (&json!("GET"), &json!("/tickets?day=1")));
    assert_eq!(asked["headers"]["anteroom-event"], json!(["sale"]));
    assert_eq!(asked["headers"]["anteroom-ticket"], json!([ticket_of(&place).to_string()]));
    assert_eq!(asked["headers"].get("cookie"), None, "our cookies are not the site's business");
    assert_eq!(inside.header("cache-control"), Some("public, max-age=60"), "nothing of ours is in it");
    house.put("sale", json!({"mode": "hold"})).await;
    let again = eventually("the session is over", async || {
        let got = visitor.page("/tickets").await;
        (got.header("x-shop").is_none()).then_some(got)
    })
    .await;
    again.is_page("line");
    assert!(ticket_of(visitor.token("wait").unwrap()) > ticket_of(&place), "a second visit is another place");
}

async fn whoever_finds_no_line_is_let_in_at_once_with_one_cookie(host: Host) {
    let house = House::open(host, quick()).await;
    let mut visitor = house.visitor();
    let got = visitor.page("/tickets").await;
    got.of_the_shop();
    assert_eq!(got.header("cache-control"), Some("private, no-store"), "no cache may hand out the session");
    assert!(visitor.token("session").is_some());
    let got = visitor.page("/tickets").await;
    got.of_the_shop();
    assert!(got.cookies().is_empty());
    assert_eq!(house.api.stats("sale").await["entered_total"], 1);
}

async fn a_session_that_is_used_lasts_and_its_cookie_with_it(host: Host) {
    let house = House::open(host, json!({"burst": 100, "min_wait": [], "session_sec": 4})).await;
    let mut visitor = house.visitor();
    visitor.page("/tickets").await.of_the_shop();
    let end = |token: &str| claims_of(token)["exp"].as_u64().unwrap();
    let first = end(visitor.token("session").unwrap());
    eventually("the session is extended three times over", async || {
        // A picture renews it as well as a page does.
        visitor.asset("/logo.png").await.of_the_shop();
        (end(visitor.token("session").unwrap()) >= first + 8).then_some(())
    })
    .await;
    let stats = house.api.stats("sale").await;
    assert_eq!((&stats["entered_total"], &stats["active"]), (&json!(1), &json!(1)), "{stats}");
}

async fn a_program_that_carries_its_session_is_told_when_it_is_extended(host: Host) {
    let house = House::open(host, json!({"burst": 100, "min_wait": [], "session_sec": 4})).await;
    let mut program = house.visitor().without_cookies();
    let mut token = program.data("/x").await.header("anteroom-token").unwrap().to_owned();
    let end = |token: &str| claims_of(token)["exp"].as_u64().unwrap();
    let first = end(&token);
    eventually("its token lasts twice as long", async || {
        let headers = [("accept", "application/json"), ("anteroom-token", token.as_str())];
        let got = program.ask("GET", "/x", &headers, None).await;
        got.of_the_shop();
        token = got.header("anteroom-token").map_or(token.clone(), str::to_owned);
        (end(&token) >= first + 4).then_some(())
    })
    .await;
    assert_eq!(house.api.stats("sale").await["entered_total"], 1);
}

async fn the_site_says_when_a_visitor_is_done(host: Host) {
    let house = House::open(host, json!({"capacity": 1, "burst": 100, "min_wait": []})).await;
    let mut visitor = house.visitor();
    visitor.page("/tickets").await.of_the_shop();
    let stale = visitor.clone();
    let mut next = house.visitor();
    next.page("/tickets").await.is_page("line");
    let got = visitor.page("/done").await;
    assert_eq!((got.text.as_str(), got.header("anteroom-session")), ("goodbye", None));
    assert!(visitor.cookies.is_empty(), "{:?}", visitor.cookies);
    assert_eq!(next.enter(&house, "/tickets").await.status, 303);
    next.page("/tickets").await.of_the_shop();
    let mut stale = stale;
    stale.page("/tickets").await.is_page("line");
}

async fn bypasses_go_through_and_the_most_specific_room_guards(host: Host) {
    let rooms = [
        ("sale", json!({"mode": "hold", "gate": {"bypass_paths": ["/assets/*"]}})),
        ("vip", json!({"mode": "hold", "gate": {"paths": ["/vip/*"]}})),
        ("fan", json!({"mode": "reject", "gate": {"hosts": ["fan.example"]}})),
    ];
    let house = House::with_rooms(host, &rooms).await;
    let mut visitor = house.visitor();
    visitor.asset("/assets/app.css").await.of_the_shop();
    visitor.ask("OPTIONS", "/tickets", &[], None).await.of_the_shop();
    visitor.page("/tickets").await.is_page("line");
    visitor.page("/vip/box").await.is_page("line");
    let names: Vec<&String> = visitor.cookies.keys().collect();
    assert_eq!(names, ["__Host-anteroom-wait-sale", "__Host-anteroom-wait-vip"]);
    let mut fan = house.visitor().at("fan.example");
    fan.page("/tickets").await.is_page("closed");
    fan.data("/tickets").await.refused("ROOM_FULL");
    house.put("sale", json!({"gate": {"hosts": ["shop.example"]}})).await;
    house.put("vip", json!({"gate": {"hosts": ["shop.example"]}})).await;
    house.visitor().at("else.example").data("/tickets").await.refused("NOT_FOUND");
    house.visitor().at("shop.example").page("/tickets").await.is_page("line");
}

async fn programs_wait_with_what_they_are_told(host: Host) {
    let house = House::open(host, held()).await;
    let mut program = house.visitor().without_cookies();
    let got = program.data("/api/orders").await;
    assert_eq!(got.status, 403);
    let told = got.refused("NOT_READY").clone();
    assert_eq!((&told["status"], &told["position"]), (&json!("waiting"), &json!(1)));
    assert!(got.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    let token = told["waiting_token"].as_str().unwrap();
    let json = ("accept", "application/json");
    let again = program.ask("GET", "/api/orders", &[json, ("anteroom-token", token)], None).await;
    assert_eq!(again.refused("NOT_READY")["position"], 1, "the same place");
    house.put("sale", json!({"mode": "line"})).await;
    house.api.ready(token).await;
    let inside = program.ask("GET", "/api/orders", &[json, ("authorization", &format!("Bearer {token}"))], None).await;
    inside.of_the_shop();
    let session = inside.header("anteroom-token").unwrap().to_owned();
    let inside = program.ask("POST", "/api/orders", &[json, ("anteroom-token", &session)], Some("two")).await;
    assert_eq!(inside.of_the_shop()["body"], "two");
    assert_eq!(inside.of_the_shop()["headers"].get("anteroom-token"), None);
    house.put("sale", json!({"mode": "hold"})).await;
    for (method, headers) in [
        ("GET", &[("accept", "image/*")][..]),
        ("GET", &[("accept", "*/*")]),
        ("HEAD", &[("accept", "text/html")]),
        ("GET", &[("accept", "text/html"), ("sec-purpose", "prefetch")]),
        ("GET", &[("upgrade", "websocket"), ("connection", "upgrade")]),
    ] {
        let got = house.visitor().ask(method, "/x", headers, None).await;
        assert!(got.waits().status >= 400 && got.cookies().is_empty(), "{method} {headers:?} {got:?}");
    }
    assert_eq!(house.api.stats("sale").await["issued"], 1, "who would not see a place gets none");
}

async fn a_reset_puts_everybody_out_and_a_turn_of_another_room_lets_nobody_in(host: Host) {
    let gala = json!({"mode": "hold", "gate": {"paths": ["/gala/*"]}});
    let house = House::with_rooms(host, &[("sale", quick()), ("gala", gala)]).await;
    let mut visitor = house.visitor();
    visitor.page("/tickets").await.of_the_shop();
    visitor.page("/gala/1").await.is_page("line");
    let session = visitor.token("session").unwrap().clone();
    visitor.cookies.insert("__Host-anteroom-session-gala".into(), session);
    visitor.page("/gala/1").await.is_page("line");
    house.put("sale", json!({"mode": "hold"})).await;
    visitor.page("/tickets").await.of_the_shop();
    house.reset("sale").await;
    visitor.page("/tickets").await.is_page("line");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_limit_counts_joins_and_not_the_pictures_of_a_page() {
    let limits = [("ANTEROOM_RATE_PER_SEC", "1"), ("ANTEROOM_RATE_BURST", "3")];
    let house = House::native(crate::support::Store::Embedded, &limits).await;
    house.put("sale", quick()).await;
    let mut visitor = house.visitor();
    visitor.page("/tickets").await.of_the_shop();
    for _ in 0..100 {
        visitor.asset("/logo.png").await.of_the_shop();
    }
    let mut limited = 0;
    for _ in 0..20 {
        let got = house.visitor().data("/tickets").await;
        if got.status == 429 {
            got.refused("RATE_LIMITED");
            assert!(got.header("retry-after").is_some());
            limited += 1;
        }
    }
    assert!(limited >= 12, "{limited} of 20 newcomers were refused");
}

async fn somebody_known_has_one_place_with_and_without_cookies(host: Host) {
    let issuer = crate::support::issuer::Issuer::start().await;
    let rooms = [("sale", held())];
    let house = House::set_up(host, crate::support::Store::Embedded, &issuer.variables(), &rooms).await;
    let bearer = |user: &str| format!("Bearer {}", issuer.token(user));
    let (ann, bob) = (bearer("ann"), bearer("bob"));
    let mut program = house.visitor().without_cookies();
    let mut place = async |bearer: &str| {
        let headers = [("accept", "application/json"), ("authorization", bearer)];
        program.ask("GET", "/x", &headers, None).await.refused("NOT_READY")["position"].clone()
    };
    assert_eq!((place(&ann).await, place(&ann).await), (json!(1), json!(1)));
    assert_eq!((place(&bob).await, place(&ann).await), (json!(2), json!(1)));
    let stranger = format!("{}x", bearer("ann"));
    assert_eq!((place(&stranger).await, place("Basic YTpi").await), (json!(3), json!(4)), "the site's own business");
    // A person in a browser shows no such token, and goes in all the same.
    let mut visitor = house.visitor();
    visitor.page("/").await.is_page("line");
    house.put("sale", json!({"mode": "line"})).await;
    let waiting = visitor.token("wait").unwrap().clone();
    house.api.ready(&waiting).await;
    assert_eq!(visitor.post("enter", "/", None).await.status, 303);
    visitor.page("/").await.of_the_shop();
    // In their turn they go in by what they have shown all the time, and the site is told who they are.
    for (who, bearer) in [("ann", &ann), ("bob", &bob)] {
        let headers = [("accept", "application/json"), ("authorization", bearer.as_str())];
        let got = eventually("a turn", async || {
            let got = program.ask("GET", "/x", &headers, None).await;
            got.header("x-shop").is_some().then_some(got)
        })
        .await;
        assert_eq!(got.of_the_shop()["headers"]["anteroom-identity"], json!([who]));
    }
}

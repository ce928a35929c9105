//! Nothing that comes from outside becomes markup, style or script, and nothing makes a page fail.

use anteroom_core::settings::{Page, Settings};
use anteroom_core::status::StatusReply;
use anteroom_core::units::{Generation, Millis, Ticket};
use anteroom_page::{Ask, Ended, Line, Pages, Scene, Seen};
use proptest::prelude::*;
use std::sync::LazyLock;

static PAGES: LazyLock<Pages> = LazyLock::new(Pages::new);

/// What would open or close something if it were let through, with anything around it.
fn hostile() -> impl Strategy<Value = String> {
    let bad = prop_oneof![
        Just("</script><xss>"),
        Just("</style><xss>"),
        Just("</title><xss>"),
        Just("--><xss>"),
        Just("<!--<script><xss>"),
        Just("]]><xss>"),
        Just("\"><xss>"),
        Just("'><xss>"),
        Just("\" onload=xss x=\""),
        Just("{{ 7*7 }}{% xss %}"),
        Just("&lt;xss"),
        Just("\u{2028}\u{0}\u{feff}"),
        Just("\\u003c/script"),
    ];
    (".{0,12}", bad, ".{0,12}").prop_map(|(before, bad, after)| before + bad + &after)
}

/// Templates, most of them wrong: pieces of the language in any order, and texts that only look like it.
fn template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(vec![
            "{{", "}}", "{%", "%}", "{#", "#}", "{{-", "-}}", "{%-", "-%}", "\"", "\\", "\\\"", "\n", " ", "é", "곧", "{", "}", "(",
            ")", "[", "]", "|", ",", ":", ".", "?.", "-", "+", "0x", "1e9", "0", "7_", "\u{2028}", "%", "#", "'",
        ]).prop_map(str::to_owned),
        6 => proptest::sample::select(vec![
            "if ", "else ", "endif ", "for ", "in ", "endfor ", "with ", "as ", "endwith ", "include ", "not ", "true ", "false ",
            "title ", "t ", "t.live ", "headings ", "x ", "loop ", "k, v ", "\"main.html\" ", "\"fields.html\" ", "message ",
        ]).prop_map(str::to_owned),
        4 => proptest::sample::select(vec![
            "{{ title }}", "{{ style }}", "{{ \"é\\x\" }}", "{% if title %}", "{% else if ?.x %}", "{% else %}", "{% endif %}",
            "{% for x in headings %}", "{% for k, v in t.live %}", "{{ loop.index }}", "{% endfor %}", "{% with t as x %}",
            "{{ x.page.enter }}", "{% endwith %}", "{% include \"line.html\" %}", "{% include \"layout.html\" with x %}", "{# é #}",
            "{#}", "{{ 99999999999999999999 }}", "{{ -0.5 }}", "{{ headings.9.text }}", "{{ headings.0.text }}",
        ]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// The tags of a page with what is in them, the insides of scripts and styles left out.
fn tags(html: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let end = rest.find('>').expect("every tag ends") + 1;
        let tag = &rest[..end];
        found.push(tag);
        rest = &rest[end..];
        for raw in ["script", "style"] {
            if tag.starts_with(&format!("<{raw}")) {
                let close = rest.find(&format!("</{raw}")).expect("every raw text ends");
                assert!(!rest[..close].contains("<!--"), "no comment begins in a {raw}");
                rest = &rest[close..];
            }
        }
    }
    found
}

/// Names of the tags, in order: what a page is made of, whatever is in it.
fn bones(html: &str) -> Vec<String> {
    let name = |tag: &str| tag.trim_start_matches('<').split([' ', '>', '\n']).next().unwrap_or_default().to_owned();
    tags(html).into_iter().map(name).collect()
}

fn scenes(status: &StatusReply<'_>, refresh_url: &str, mut see: impl FnMut(&Scene<'_>)) {
    see(&Scene::Line(Line { status, generation: Generation(1), ticket: Ticket(7), heartbeat_sec: 300, refresh_url }));
    see(&Scene::Ended(Ended::Missed));
    see(&Scene::NotOpen { opens_at: Millis(5_000_000) });
    see(&Scene::Held { retry_after_sec: u64::MAX });
    see(&Scene::Refused(anteroom_core::code::ErrorCode::InternalError));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_put_in_the_page_is_made_of_the_same_tags(
        title in hostile(), message in hostile(), to in hostile(), token in hostile(), event in hostile(),
        nonce in hostile(), refresh_url in hostile(), language in hostile(), accent in hostile(), logo in hostile(),
        states in 0..3_usize, position: u64, total: u64, eta: Option<u64>, best: u64, of: u64, now: u64,
        poll_after_ms: u64, waiting_time: u64, hold: bool,
    ) {
        let status = |message| StatusReply {
            status: ["waiting", "ready", "entered"][states],
            position, eta_sec: eta, eta_low_sec: eta.map(|eta| eta / 2), eta_high_sec: eta, eta_confidence: None,
            waiting_time, ready_for_entry: states == 1, claim_expires_at: Some("2026-11-21T10:00:00Z".into()),
            poll_after_ms, total_waiting: total, mode: if hold { "hold" } else { "line" },
            opens_at: None, message: Some(message), as_of: "2026-11-21T10:00:00Z", stale: false,
        };
        let page = |title: &str, message: &str| Page {
            title: Some(title.into()),
            message: Some(message.into()),
            theme: [("accent", &accent), ("logo", &logo), ("font", &accent), ("radius", &logo)]
                .map(|(name, value)| (name.to_owned(), value.clone())).into(),
            languages: vec![language.clone(), "en".into()],
            ..Settings::default().page
        };
        let seen = Some(Seen { best, of });
        let languages = [language.as_str()];
        let bad = Ask { to: &to, token: Some(&token), languages: &languages, nonce: &nonce, now: Millis(now), seen };
        let good = Ask { to: "/", token: Some("t"), languages: &[], nonce: "n", now: Millis(now), seen };
        let (bad_status, good_status) = (status(message.as_str()), status("m"));
        let bad_look = PAGES.look(&event, &page(&title, &message));
        let good_look = PAGES.look("event", &page("t", "m"));
        let mut expected = Vec::new();
        scenes(&good_status, "/", |scene| expected.push(bones(&PAGES.render(&good_look, scene, &good).html)));
        let mut expected = expected.into_iter();
        scenes(&bad_status, &refresh_url, |scene| {
            let page = PAGES.render(&bad_look, scene, &bad);
            assert_eq!(page.problem, None);
            assert_eq!(Some(bones(&page.html)), expected.next());
            for tag in tags(&page.html) {
                // Within a tag a quote is what could do harm: outside of quotes nothing that came from outside stands.
                let outside: String = tag.split('"').step_by(2).collect();
                assert!(!outside.contains("xss"), "{tag}");
            }
            for (name, value) in &page.headers {
                assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{name}: {value}");
                assert!(!value.contains("xss x"), "{name}: {value}");
            }
        });
    }

    #[test]
    fn no_template_makes_rendering_fail(template in template()) {
        let look = PAGES.look("event", &Page { template: Some(template), ..Settings::default().page });
        let ask = Ask { to: "/", token: None, languages: &[], nonce: "n", now: Millis(0), seen: None };
        let page = PAGES.render(&look, &Scene::Closed, &ask);
        prop_assert!(page.problem.is_none() || page.html.contains("<h1>Closed</h1>"));
    }

    #[test]
    fn what_is_put_in_a_template_comes_out_as_the_same_text(title in hostile()) {
        let template = Some("{{ title }}\0{{ t.page.enter }}".to_owned());
        let look = PAGES.look("event", &Page { template, title: Some(title.clone()), ..Settings::default().page });
        let ask = Ask { to: "/", token: None, languages: &[], nonce: "n", now: Millis(0), seen: None };
        let page = PAGES.render(&look, &Scene::Closed, &ask);
        prop_assert_eq!(page.problem, None);
        let (shown, _) = page.html.rsplit_once('\0').expect("the mark");
        prop_assert!(!shown.contains(['<', '>', '"', '\'']), "{}", shown);
        let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&amp;", "&")];
        let text = signs.iter().fold(shown.to_owned(), |text, (name, sign)| text.replace(name, sign));
        prop_assert_eq!(text, title);
    }

    #[test]
    fn data_for_the_script_reads_back_and_ends_nothing(title in hostile(), to in hostile()) {
        let look = PAGES.look("event", &Page { title: Some(title.clone()), ..Settings::default().page });
        let ask = Ask { to: &to, token: None, languages: &[], nonce: "n", now: Millis(0), seen: None };
        let html = PAGES.render(&look, &Scene::Held { retry_after_sec: 5 }, &ask).html;
        let island = html.split_once("id=\"live\">").and_then(|(_, rest)| rest.split_once("</script>")).expect("data").0;
        prop_assert!(!island.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{}", island);
        let read: serde_json::Value = serde_json::from_str(island).expect("JSON");
        prop_assert_eq!(&read["title"], &title);
        prop_assert_eq!(&read["to"], &to);
    }
}

//! The guarantees of the pages as a whole, over every scene and language.

use anteroom_core::code::ErrorCode;
use anteroom_core::settings::{Page, Settings};
use anteroom_core::status::StatusReply;
use anteroom_core::units::{Generation, Millis, Ticket};
use anteroom_page::{Ask, Ended, Line, Look, Pages, Rendered, Scene, Seen};

const NOW: Millis = Millis(1_790_000_000_000);

fn ask<'a>(languages: &'a [&'a str]) -> Ask<'a> {
    Ask { to: "/tickets/1?x=2", token: None, languages, nonce: "bm9uY2U", now: NOW, seen: None }
}

fn status(status: &'static str) -> StatusReply<'static> {
    StatusReply {
        status,
        position: if status == "waiting" { 42 } else { 0 },
        eta_sec: Some(720),
        eta_low_sec: Some(600),
        eta_high_sec: Some(1_000),
        eta_confidence: Some(0.8),
        waiting_time: 75,
        ready_for_entry: status == "ready",
        claim_expires_at: (status == "ready").then(|| "2026-09-21T14:15:10Z".to_owned()),
        poll_after_ms: 2_500,
        total_waiting: 5_678,
        mode: "line",
        opens_at: None,
        message: None,
        as_of: "2026-09-21T14:13:20Z",
        stale: false,
    }
}

fn line<'a>(status: &'a StatusReply<'a>) -> Scene<'a> {
    let refresh_url = "/tickets/1?x=2";
    Scene::Line(Line { status, generation: Generation(3), ticket: Ticket(20_417), heartbeat_sec: 300, refresh_url })
}

/// Renders every scene there is.
fn every(pages: &Pages, look: &Look, ask: &Ask<'_>, mut see: impl FnMut(&str, Rendered)) {
    let opens_at = Some("2026-09-21T15:00:00Z".to_owned());
    let message = Some("A message");
    let lines = [
        ("waiting", status("waiting")),
        ("paused", StatusReply { mode: "hold", message, eta_sec: None, ..status("waiting") }),
        ("before", StatusReply { opens_at, eta_sec: None, ..status("waiting") }),
        ("ready", status("ready")),
        ("entered", status("entered")),
    ];
    for (name, status) in &lines {
        see(name, pages.render(look, &line(status), ask));
    }
    for ended in Ended::ALL {
        see(&format!("ended {ended:?}"), pages.render(look, &Scene::Ended(*ended), ask));
    }
    for code in ErrorCode::ALL {
        see(code.as_str(), pages.render(look, &Scene::Refused(*code), ask));
    }
    see("closed", pages.render(look, &Scene::Closed, ask));
    see("not open", pages.render(look, &Scene::NotOpen { opens_at: Millis(NOW.0 + 90_000) }, ask));
    see("held", pages.render(look, &Scene::Held { retry_after_sec: 5 }, ask));
}

fn page() -> Page {
    Settings::default().page
}

fn header<'a>(page: &'a Rendered, name: &str) -> &'a str {
    page.headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

#[test]
fn every_page_is_whole_short_and_needs_nothing_else() {
    let pages = Pages::new();
    for tag in pages.languages() {
        let titled = Page { title: Some("Night of Lanterns".into()), languages: vec![tag.into()], ..page() };
        let look = pages.look("lanterns", &titled);
        every(&pages, &look, &ask(&[]), |name, page| {
            assert_eq!(page.problem, None, "{name} {tag}");
            println!("{tag} {name}: {} bytes", page.html.len());
            assert!(page.html.len() <= 30_000, "{name} {tag}: {} bytes", page.html.len());
            assert!(page.html.starts_with("<!doctype html>"), "{name} {tag}");
            assert!(page.html.contains(&format!("<html lang=\"{tag}\"")), "{name} {tag}");
            assert!(page.html.trim_end().ends_with("</html>"), "{name} {tag}");
            for part in ["<title>", "<h1", "<main", "Night of Lanterns"] {
                assert!(page.html.contains(part), "{name} {tag} has no {part}");
            }
            for part in ["http://", "https://", "src=\"//", "{{", "undefined", ">none<", "\"none\""] {
                assert!(!page.html.contains(part), "{name} {tag} has {part}");
            }
            // Everything that runs carries the nonce.
            assert!(!page.html.contains("<style>") && !page.html.contains("<script>"), "{name} {tag}");
            assert!(header(&page, "content-security-policy").contains("'nonce-bm9uY2U'"));
            assert_eq!(header(&page, "cache-control"), "no-store");
            assert_eq!(header(&page, "content-language"), tag);
        });
    }
}

#[test]
fn a_person_reads_the_page_in_their_language_among_those_offered() {
    let pages = Pages::new();
    let look = pages.look("lanterns", &page());
    for (languages, tag) in
        [(vec!["ko-KR", "en"], "ko"), (vec!["xx", "en-GB"], "en"), (vec![], "en"), (vec!["xx"], "en")]
    {
        let page = pages.render(&look, &Scene::Closed, &ask(&languages));
        assert_eq!(header(&page, "content-language"), tag, "{languages:?}");
    }
    let korean = pages.look("lanterns", &Page { languages: vec!["ko".into()], ..page() });
    assert_eq!(header(&pages.render(&korean, &Scene::Closed, &ask(&["en"])), "content-language"), "ko");
    let nobodys = pages.look("lanterns", &Page { languages: vec!["xx".into()], ..page() });
    assert_eq!(header(&pages.render(&nobodys, &Scene::Closed, &ask(&["ko"])), "content-language"), "en");
}

#[test]
fn forms_carry_event_way_back_and_only_then_the_token_when_it_is_carried_by_hand() {
    let pages = Pages::new();
    let look = pages.look("lanterns", &page());
    let ready = status("ready");
    let by_cookie = pages.render(&look, &line(&ready), &ask(&[])).html;
    assert!(by_cookie.contains("name=\"event\" value=\"lanterns\""));
    assert!(by_cookie.contains("name=\"to\" value=\"/tickets/1?x=2\""), "{by_cookie}");
    assert!(!by_cookie.contains("name=\"token\""));
    let by_hand = Ask { token: Some("a.b.c"), ..ask(&[]) };
    for (scene, action) in
        [(line(&ready), "/gate/enter"), (line(&ready), "/gate/leave"), (Scene::Ended(Ended::Left), "/gate/join")]
    {
        let html = pages.render(&look, &scene, &by_hand).html;
        let form = html.split("<form").find(|form| form.contains(action)).expect("the form");
        assert!(form.contains("name=\"token\" value=\"a.b.c\""), "{form}");
    }
}

#[test]
fn a_page_without_script_never_shows_a_position_going_up_or_progress_going_back() {
    let pages = Pages::new();
    let look = pages.look("lanterns", &page());
    let mut seen = None;
    for (position, best, of) in [(90, 90, 90), (40, 40, 90), (55, 40, 90), (3, 3, 90)] {
        let status = StatusReply { position, ..status("waiting") };
        let page = pages.render(&look, &line(&status), &Ask { seen, ..ask(&[]) });
        assert!(page.html.contains(&format!("id=\"position\" data-size=\"s\">{best}<")), "{position}");
        assert!(page.html.contains(&format!("max=\"{of}\" value=\"{}\"", of - best)), "{position}");
        seen = Some(Seen::with(seen, &status));
        assert_eq!(seen, Some(Seen { best, of }));
    }
    for (best, of) in [(0, 0), (u64::MAX, u64::MAX), (5, 1)] {
        let status = StatusReply { position: u64::MAX, ..status("waiting") };
        let seen = Seen::with(Some(Seen { best, of }), &status);
        assert!(seen.best >= 1, "{seen:?}");
        pages.render(&look, &line(&status), &Ask { seen: Some(Seen { best, of }), ..ask(&[]) });
    }
}

#[test]
fn the_operators_settings_are_checked_by_field_and_line() {
    let pages = Pages::new();
    assert_eq!(pages.check(&page()), []);
    let fields = |page: &Page| pages.check(page).iter().map(ToString::to_string).collect::<Vec<_>>();
    let wrong = Page {
        languages: vec!["en".into(), "xx".into()],
        theme: [("logo".to_owned(), "https://elsewhere.example/x.png".to_owned())].into(),
        template: Some("<html>\n{% if %}\n".into()),
        ..page()
    };
    let problems = fields(&wrong);
    assert!(problems[0].starts_with("page.theme.logo must be a path"), "{problems:?}");
    assert!(problems[1].starts_with("page.languages[1] must be a language of the page, not \"xx\""), "{problems:?}");
    assert!(problems[2].starts_with("page.template "), "{problems:?}");
    assert!(problems[2].contains("line 2: invalid syntax"), "{problems:?}");
    assert_eq!(problems.len(), 3);
    let template = |text: &str| fields(&Page { template: Some(text.into()), ..page() });
    assert!(template("{{ titel }}")[0].contains("line 1: render error: not found"), "{:?}", template("{{ titel }}"));
    assert!(template("{{ title }}")[0].contains("never asks for news"));
    let lost = "{% include \"head.html\" %}{% include \"script.html\" %}<h1>{{ heading }}</h1>";
    assert!(template(lost)[0].contains("has no form that posts to /gate/enter"), "{:?}", template(lost));
    let footer = "{% include \"head.html\" %}{% include \"main.html\" %}{{ title }}{% include \"script.html\" %}";
    assert_eq!(template(footer), [""; 0]);
}

#[test]
fn the_line_of_a_problem_is_right_in_any_script() {
    let pages = Pages::new();
    let look = |template: &str| pages.look("lanterns", &Page { template: Some(template.into()), ..page() });
    for before in ["", "a", "곧 시작합니다 — é"] {
        for wrong in ["{{ nobody }}", "{% if %}", "{{ t.nothing }}", "{{ title | upper }}", "{{ t }}"] {
            let template = format!("{before}\n{before} \"\n{wrong}\n{before}\n");
            let problem = pages.render(&look(&template), &Scene::Closed, &ask(&[])).problem.expect("a problem");
            assert!(problem.starts_with("line 3: "), "{template}: {problem}");
        }
    }
}

#[test]
fn a_template_that_fails_or_never_ends_gives_way_to_the_built_in_one() {
    let pages = Pages::new();
    let loops = |inside: &str| format!("{{% for name, text in t.live %}}{inside}{{% endfor %}}");
    let deep = "{% if title %}".repeat(400) + &"{% endif %}".repeat(400);
    for (template, problem) in [
        ("{% if".to_owned(), "invalid syntax"),
        ("\n\n{{ nobody.knows }}".to_owned(), "line 3"),
        (loops(&loops("x")), "a loop within a loop"),
        ("{% for x in [1, 2, 3] %}{% endfor %}".to_owned(), "[ in a tag"),
        ("{% include \"page.html\" %}".to_owned(), "unknown template"),
        ("{% include \"fields.html\" with t %}".to_owned(), "line 1 of fields.html"),
        (loops(&"x".repeat(20_000)), "256 KiB"),
        ("{{ title | upper }}".to_owned(), "filters"),
        (format!("{{{{ {}title }}}}", "(".repeat(39_000)), "( in a tag"),
        (deep, "more than 400 tags"),
        ("{{ headings }}{{ t }}".to_owned(), "line 1"),
    ] {
        let page = pages.render(
            &pages.look("lanterns", &Page { template: Some(template.clone()), ..page() }),
            &Scene::Closed,
            &ask(&[]),
        );
        let said = page.problem.unwrap_or_else(|| panic!("a problem is reported: {template}"));
        assert!(said.contains(problem), "{template}: {said}");
        assert!(page.html.contains("<h1>Closed</h1>"), "{template}");
    }
}

#[test]
fn the_deepest_template_there_may_be_fits_a_thread_of_a_host() {
    let deep = "{% if title %}".repeat(200) + "{{ title }}" + &"{% endif %}".repeat(200);
    let chain =
        "{% if message %}".to_owned() + &"{% else if message %}".repeat(397) + "{% else %}{{ title }}{% endif %}";
    for template in [deep, chain] {
        // Hosts' threads have 2 MiB, and a module at the edge has 1 MiB of smaller, optimised frames.
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
            let pages = Pages::new();
            let look = pages.look("lanterns", &Page { template: Some(template), ..page() });
            pages.render(&look, &Scene::Closed, &ask(&[]))
        });
        let page = thread.expect("a thread").join().expect("no panic");
        assert_eq!((page.problem, page.html.as_str()), (None, "lanterns"));
    }
}

#[test]
fn the_examples_for_operators_are_good_templates() {
    let readme = include_str!("../README.md");
    let pages = Pages::new();
    let examples: Vec<&str> = readme.split("```jinja\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        assert_eq!(pages.check(&Page { template: Some(example.into()), ..page() }), [], "{example}");
    }
}

//! `anteroom rooms`: the admin API from the command line. Prints what the server says, and its errors plainly.

use super::Failure;
use anteroom_core::units::EventId;
use clap::{Args, Subcommand};
use reqwest::{Client, Method, Response};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::time::Duration;
use url::Url;

#[derive(Debug, Args)]
pub(super) struct RoomsArgs {
    /// Where the server is
    #[arg(long, env = "ANTEROOM_URL", default_value = "http://127.0.0.1:8000", global = true)]
    url: Url,
    /// Bearer token of the admin API
    #[arg(long, env = "ANTEROOM_ADMIN_TOKEN", hide_env_values = true, global = true)]
    admin_token: Option<String>,
    #[command(subcommand)]
    command: RoomsCommand,
}

#[derive(Debug, Subcommand)]
enum RoomsCommand {
    /// List all rooms
    List,
    /// Show the settings of a room
    Show(Room),
    /// Show the live numbers of a room
    Stats(Room),
    /// Create a room or change some of its settings
    Set {
        #[command(flatten)]
        room: Room,
        /// Settings such as admit_per_minute=1200 mode=hold schedule.opens=2026-11-21T10:00:00Z; values are JSON, or text
        #[arg(value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// Settings as a JSON object, applied before those given by name
        #[arg(long)]
        json: Option<String>,
    },
    /// Delete a room and its line
    Delete(Room),
    /// Call nobody for now; people can still join (mode "hold")
    Pause(Room),
    /// Call people again (mode "line")
    Resume(Room),
    /// Open for a batch by hand
    Call {
        #[command(flatten)]
        room: Room,
        /// How many people to call
        #[arg(long, default_value_t = 1)]
        count: u64,
    },
    /// Drop the silent now
    Sweep(Room),
    /// Start a new generation: everybody is out
    Reset(Room),
}

#[derive(Debug, Args)]
struct Room {
    /// The event of the room
    #[arg(value_parser = parse_event)]
    event_id: EventId,
}

/// Dots alone would be taken for steps in the URL.
fn parse_event(text: &str) -> Result<EventId, String> {
    let event = EventId::parse(text).map_err(|reason| reason.to_string())?;
    if matches!(text, "." | "..") { Err("cannot be dots alone".into()) } else { Ok(event) }
}

pub(super) async fn run(args: RoomsArgs, out: &mut impl Write) -> Result<(), Failure> {
    let token = args.admin_token.ok_or_else(|| Failure("give --admin-token or set ANTEROOM_ADMIN_TOKEN".into()))?;
    let http = Client::builder().timeout(Duration::from_secs(30)).build().map_err(Failure::of)?;
    let admin = Admin { http, url: args.url, token };
    let answer = match args.command {
        RoomsCommand::List => admin.call(Method::GET, None, None, None).await?,
        RoomsCommand::Show(room) => admin.call(Method::GET, Some(&room), None, None).await?,
        RoomsCommand::Stats(room) => admin.call(Method::GET, Some(&room), Some("stats"), None).await?,
        RoomsCommand::Set { room, settings, json } => {
            let settings = parse_settings(json.as_deref(), &settings)?;
            admin.call(Method::PUT, Some(&room), None, Some(settings)).await?
        }
        RoomsCommand::Delete(room) => admin.call(Method::DELETE, Some(&room), None, None).await?,
        RoomsCommand::Pause(room) => admin.change_mode(&room, "hold").await?,
        RoomsCommand::Resume(room) => admin.change_mode(&room, "line").await?,
        RoomsCommand::Call { room, count } => {
            admin.call(Method::POST, Some(&room), Some("call"), Some(json!({ "count": count }))).await?
        }
        RoomsCommand::Sweep(room) => admin.call(Method::POST, Some(&room), Some("sweep"), None).await?,
        RoomsCommand::Reset(room) => admin.call(Method::POST, Some(&room), Some("reset"), None).await?,
    };
    match answer {
        Some(answer) => writeln!(out, "{answer:#}").map_err(Failure::of),
        None => Ok(()),
    }
}

struct Admin {
    http: Client,
    url: Url,
    token: String,
}

impl Admin {
    /// Changing a room that does not exist would create it, which is not what was asked for.
    async fn change_mode(&self, room: &Room, mode: &str) -> Result<Option<Value>, Failure> {
        self.call(Method::GET, Some(room), None, None).await?;
        self.call(Method::PUT, Some(room), None, Some(json!({ "mode": mode }))).await
    }

    async fn call(
        &self,
        method: Method,
        room: Option<&Room>,
        action: Option<&str>,
        body: Option<Value>,
    ) -> Result<Option<Value>, Failure> {
        let event = room.map(|room| room.event_id.as_str());
        let steps = ["api", "v1", "admin", "rooms"].into_iter().chain(event).chain(action);
        let mut url = self.url.clone();
        let wrong_url = |()| Failure(format!("{} is not a URL of a server", self.url));
        url.path_segments_mut().map_err(wrong_url)?.pop_if_empty().extend(steps);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Failure(format!("no answer from {}{cause}", self.url))
        })?;
        read_answer(response).await
    }
}

async fn read_answer(response: Response) -> Result<Option<Value>, Failure> {
    let status = response.status();
    let text = response.text().await.map_err(Failure::of)?;
    let json = serde_json::from_str::<Value>(&text).ok();
    if status.is_success() {
        return match json {
            None if !text.trim().is_empty() => Err(Failure(format!("the answer is not JSON: {text}"))),
            json => Ok(json),
        };
    }
    let part = |name: &str| json.as_ref().and_then(|json| json["error"][name].as_str()).map(str::to_owned);
    Err(Failure(match (part("code"), part("message")) {
        (Some(code), Some(message)) => {
            let trace = part("trace_id").map(|trace| format!(" (trace {trace})")).unwrap_or_default();
            format!("{code}: {message}{trace}")
        }
        _ => format!("the server answered {status}"),
    }))
}

/// A settings object from JSON text and `name=value` pairs, where a dot in a name steps into an object.
fn parse_settings(json: Option<&str>, pairs: &[String]) -> Result<Value, Failure> {
    let mut settings = match json.map(serde_json::from_str).transpose() {
        Ok(None) => Map::new(),
        Ok(Some(Value::Object(settings))) => settings,
        Ok(Some(_)) => return Err(Failure("--json must be an object".into())),
        Err(error) => return Err(Failure(format!("--json is not JSON: {error}"))),
    };
    for pair in pairs {
        let (name, text) = pair.split_once('=').ok_or_else(|| Failure(format!("{pair:?} is not NAME=VALUE")))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()));
        let mut steps: Vec<&str> = name.split('.').collect();
        let last = steps.pop().unwrap_or_default();
        let mut object = &mut settings;
        for step in steps {
            let inner = object.entry(step).or_insert_with(|| Value::Object(Map::new()));
            object = inner.as_object_mut().ok_or_else(|| Failure(format!("{step:?} in {pair:?} is not an object")))?;
        }
        object.insert(last.into(), value);
    }
    Ok(Value::Object(settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use axum::Router;
    use axum::body::Bytes;
    use axum::http::{HeaderMap, StatusCode, Uri};
    use clap::Parser;
    use std::sync::{Arc, Mutex};

    type Seen = Arc<Mutex<Vec<String>>>;

    /// A server that writes down what it is asked, knows every room but `typo`, and answers with an object.
    async fn start_server() -> (String, Seen) {
        let seen = Seen::default();
        let log = seen.clone();
        let app = Router::new().fallback(async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            assert_eq!(headers["authorization"], "Bearer let-me-in");
            log.lock().unwrap().push(format!("{method} {uri} {}", String::from_utf8_lossy(&body)));
            let error = r#"{"error":{"code":"EVENT_NOT_FOUND","message":"No such room","trace_id":"abc"}}"#;
            match uri.path().contains("typo") {
                true => (StatusCode::NOT_FOUND, error),
                false if method == Method::DELETE => (StatusCode::NO_CONTENT, ""),
                false => (StatusCode::OK, r#"{"called":3}"#),
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url, seen)
    }

    async fn rooms(url: &str, arguments: &[&str]) -> Result<String, Failure> {
        let fixed = ["anteroom", "rooms", "--url", url, "--admin-token", "let-me-in"];
        let cli = Cli::try_parse_from(fixed.iter().chain(arguments)).map_err(Failure::of)?;
        let Command::Rooms(args) = cli.command else { panic!("another command") };
        let mut out = Vec::new();
        run(args, &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn each_command_is_one_request_of_the_admin_api() {
        let (url, seen) = start_server().await;
        let base = "/api/v1/admin/rooms";
        for (arguments, want) in [
            (&["list"][..], format!("GET {base} ")),
            (&["show", "sale:1"], format!("GET {base}/sale:1 ")),
            (&["stats", "a"], format!("GET {base}/a/stats ")),
            (&["set", "a", "mode=hold", "burst=7"], format!(r#"PUT {base}/a {{"burst":7,"mode":"hold"}}"#)),
            (&["delete", "a"], format!("DELETE {base}/a ")),
            (&["pause", "a"], format!(r#"PUT {base}/a {{"mode":"hold"}}"#)),
            (&["resume", "a"], format!(r#"PUT {base}/a {{"mode":"line"}}"#)),
            (&["call", "a", "--count", "10"], format!(r#"POST {base}/a/call {{"count":10}}"#)),
            (&["sweep", "a"], format!("POST {base}/a/sweep ")),
            (&["reset", "a"], format!("POST {base}/a/reset ")),
        ] {
            let out = rooms(&url, arguments).await.unwrap();
            assert_eq!(out, if arguments[0] == "delete" { "" } else { "{\n  \"called\": 3\n}\n" });
            assert_eq!(seen.lock().unwrap().last(), Some(&want));
        }
    }

    #[tokio::test]
    async fn errors_are_told_plainly_and_a_pause_creates_no_room() {
        let (url, seen) = start_server().await;
        let error = rooms(&url, &["pause", "typo"]).await.unwrap_err();
        assert_eq!(error.0, "EVENT_NOT_FOUND: No such room (trace abc)");
        assert_eq!(*seen.lock().unwrap(), ["GET /api/v1/admin/rooms/typo "]);
        for event in ["", "a/b", ".."] {
            assert!(rooms(&url, &["show", event]).await.is_err(), "{event}");
        }
        let error = rooms("http://127.0.0.1:1", &["list"]).await.unwrap_err();
        assert!(error.0.starts_with("no answer from http://127.0.0.1:1/"), "{error}");
        assert!(!error.0.contains("let-me-in"));
    }

    #[test]
    fn settings_are_json_where_they_can_be_and_text_where_not() {
        for (json, pairs, want) in [
            (None, &["mode=hold"][..], json!({ "mode": "hold" })),
            (None, &["capacity=null", "burst=5", "session_renew=false"], {
                json!({ "capacity": null, "burst": 5, "session_renew": false })
            }),
            (None, &["release={\"waves\":{\"size\":10,\"every_sec\":30}}"], {
                json!({ "release": { "waves": { "size": 10, "every_sec": 30 } } })
            }),
            (None, &["schedule.opens=2026-11-21T10:00:00Z", "schedule.closes=null"], {
                json!({ "schedule": { "opens": "2026-11-21T10:00:00Z", "closes": null } })
            }),
            (Some(r#"{"burst":1,"mode":"line"}"#), &["burst=2"], json!({ "burst": 2, "mode": "line" })),
            (None, &["page.message=a=b"], json!({ "page": { "message": "a=b" } })),
        ] {
            let pairs: Vec<String> = pairs.iter().map(|pair| pair.to_string()).collect();
            assert_eq!(parse_settings(json, &pairs).unwrap(), want);
        }
        for (json, pairs) in [(Some("[]"), &[][..]), (Some("{"), &[]), (None, &["mode"]), (None, &["a=1", "a.b=2"])] {
            let pairs: Vec<String> = pairs.iter().map(|pair| pair.to_string()).collect();
            assert!(parse_settings(json, &pairs).is_err());
        }
    }
}

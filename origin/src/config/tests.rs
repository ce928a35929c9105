use super::*;
use anteroom_core::gate::carry::FIRST_BYTE_SEC;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn load(pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    let mut variables = variables(pairs);
    variables.entry("ANTEROOM_SECRET".into()).or_insert(SECRET.into());
    Config::load(None, &variables)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = load(&[]).unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:8000".parse().unwrap());
    assert!(matches!(config.store, StoreConfig::Embedded { state_dir: None }));
    assert_eq!(config.users, None);
    assert!(config.access.admin.is_none() && config.access.edge.is_none());
    assert_eq!(config.rooms, RoomsConfig { unknown: UnknownRooms::Reject, tick: Duration::from_millis(250) });
    assert_eq!(config.clients.trusted_proxies, []);
    let rate = config.clients.rate.unwrap();
    assert_eq!((rate.per_sec.get(), rate.burst.get()), (50, 100));
}

#[test]
fn the_site_behind_the_gate_is_a_host_and_a_port() {
    assert_eq!(load(&[]).unwrap().upstream, None);
    let upstream = load(&[("ANTEROOM_UPSTREAM", "https://shop.internal:8443/")]).unwrap().upstream.unwrap();
    assert_eq!(upstream.url.as_str(), "https://shop.internal:8443/");
    assert_eq!((upstream.connect, upstream.first_byte), (Duration::from_secs(5), Duration::from_secs(FIRST_BYTE_SEC)));
    for wrong in ["shop:80", "ftp://shop", "http://u:p@shop", "http://shop/?x", "http://"] {
        assert!(load(&[("ANTEROOM_UPSTREAM", wrong)]).is_err(), "{wrong}");
    }
    assert!(load(&[("ANTEROOM_UPSTREAM_CA_FILE", "/x.pem")]).is_err(), "of no use");
}

#[test]
fn origins_are_compared_as_browsers_write_them() {
    let config =
        load(&[("ANTEROOM_CORS_ORIGINS", " https://Shop.example/ ,http://localhost:3000,https://a:443, *")]).unwrap();
    assert_eq!(config.clients.cors_origins, ["https://shop.example", "http://localhost:3000", "https://a", "*"]);
    for wrong in ["shop.example", "https://shop.example/path", "ftp://shop.example", "https://u:p@shop.example", "null"]
    {
        let problems = load(&[("ANTEROOM_CORS_ORIGINS", wrong)]).unwrap_err();
        assert!(problems.to_string().contains("is not an origin such as"), "{problems}");
    }
}

#[test]
fn there_is_no_default_secret_except_in_the_demo() {
    let problems = Config::load(None, &Variables::new()).unwrap_err();
    assert_eq!(problems.0.len(), 1);
    assert_eq!(problems.0[0].setting, "ANTEROOM_SECRET");
    let (one, other) = (Config::demo(None, &Variables::new()).unwrap(), Config::demo(None, &Variables::new()).unwrap());
    assert!(!one.tokens.secrets.signing().matches(other.tokens.secrets.signing().reveal()));
}

#[test]
fn variables_win_over_the_file_and_the_file_over_defaults() {
    let file = file("tick_ms = 100\nrate_per_sec = 7\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n");
    let given = [("ANTEROOM_TICK_MS", "500"), ("ANTEROOM_RATE_PER_SEC", ""), ("ANTEROOM_SECRET", SECRET)];
    let config = Config::load(Some(file.path()), &variables(&given)).unwrap();
    assert_eq!(config.rooms.tick, Duration::from_millis(500));
    assert_eq!(config.clients.rate.unwrap().per_sec.get(), 7, "an empty variable counts as absent");
    assert_eq!(config.clients.rate.unwrap().burst.get(), 100);
    let networks: Vec<String> = config.clients.trusted_proxies.iter().map(|n| n.to_string()).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
}

#[test]
fn every_problem_is_reported_at_once_by_setting_and_value() {
    let file = file("tick_ms = 5\ntik_ms = 5\nrate_burst = 1.5\n");
    let given = [
        ("ANTEROOM_LISTEN", "eight thousand"),
        ("ANTEROOM_SECRET", "hunter2"),
        ("ANTEROOM_ADMIN_TOKEN", "hunter2 "),
        ("ANTEROOM_REDIS_URL", "redis://:hunter2@h/zero"),
        ("ANTEROOM_JWKS_URL", "ftp://issuer"),
        ("ANTEROOM_ROOMS_UNKNOWN", "maybe"),
        ("ANTEROOM_TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.0/80"),
        ("ANTEROOM_UPSTREAM", "http://shop/path"),
        ("ANTEROOM_PASS_KEY_FILE", "/no/such/file"),
        ("ANTEROOM_SECRETS", "hunter2"),
        ("UNRELATED", "x"),
    ];
    let problems = Config::load(Some(file.path()), &variables(&given)).unwrap_err();
    let text = problems.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    let path = file.path().display();
    for want in [
        r#"ANTEROOM_LISTEN = "eight thousand": must be an address"#.to_owned(),
        "ANTEROOM_SECRET: has 7 bytes, at least 32".into(),
        "ANTEROOM_ADMIN_TOKEN: must be visible ASCII".into(),
        r#"ANTEROOM_REDIS_URL = "redis://:…@h/zero": must have a database number"#.into(),
        r#"ANTEROOM_JWKS_URL = "ftp://issuer": must be an http"#.into(),
        "ANTEROOM_JWT_ISSUER: is missing".into(),
        "ANTEROOM_JWT_AUDIENCE: is missing".into(),
        r#"ANTEROOM_ROOMS_UNKNOWN = "maybe": must be "reject" or "create""#.into(),
        r#"ANTEROOM_TRUSTED_PROXIES = "10.0.0.0/8,10.0.0.0/80": "10.0.0.0/80" is not a network"#.into(),
        r#"ANTEROOM_UPSTREAM = "http://shop/path": must be http://host:port or https://host"#.into(),
        r#"ANTEROOM_PASS_KEY_FILE = "/no/such/file": not read"#.into(),
        "ANTEROOM_SECRETS: no such setting".into(),
        format!(r#"tick_ms (in {path}) = "5": must be a whole number from 10 to 1000"#),
        format!("tik_ms (in {path}): no such setting"),
        format!("rate_burst (in {path}): must be a text"),
    ] {
        assert!(text.contains(&want), "{want}\nnot in\n{text}");
    }
    assert_eq!(problems.0.len(), 15, "{text}");
}

#[test]
fn contradictions_are_problems() {
    let missing = ("ANTEROOM_REDIS_PASSWORD_FILE", "/no/such/file");
    let same = "0123456789abcdef";
    for (given, setting) in [
        (&[("ANTEROOM_SECRET_FILE", "/no/such/file")][..], "ANTEROOM_SECRET_FILE"),
        (&[("ANTEROOM_REDIS_PASSWORD", "x")], "ANTEROOM_REDIS_PASSWORD"),
        (&[("ANTEROOM_REDIS_URL", "redis://:x@h"), ("ANTEROOM_REDIS_PASSWORD", "y")], "ANTEROOM_REDIS_URL"),
        (&[("ANTEROOM_REDIS_URL", "redis://h"), ("ANTEROOM_STATE_DIR", "/tmp")], "ANTEROOM_STATE_DIR"),
        (&[("ANTEROOM_REDIS_URL", "redis://h"), missing], "ANTEROOM_REDIS_PASSWORD_FILE"),
        (
            &[("ANTEROOM_REDIS_URL", "redis://h"), ("ANTEROOM_DANGEROUS_REDIS_ACCEPT_ANY_CERTIFICATE", "true")],
            "ANTEROOM_DANGEROUS_REDIS_ACCEPT_ANY_CERTIFICATE",
        ),
        (&[("ANTEROOM_REDIS_URL", "redis+cluster://a:1,b:2")], "ANTEROOM_REDIS_URL"),
        (&[("ANTEROOM_REDIS_URL", "redis+sentinel://a:1/m")], "ANTEROOM_REDIS_URL"),
        (&[("ANTEROOM_ADMIN_TOKEN", same), ("ANTEROOM_EDGE_TOKEN", same)], "ANTEROOM_EDGE_TOKEN"),
        (&[("ANTEROOM_RATE_BURST", "0")], "ANTEROOM_RATE_BURST"),
        (&[("ANTEROOM_RATE_PER_SEC", "-1")], "ANTEROOM_RATE_PER_SEC"),
        (&[("ANTEROOM_LOG", "anteroom=loud")], "ANTEROOM_LOG"),
    ] {
        let problems = load(given).unwrap_err();
        let settings: Vec<&str> = problems.0.iter().map(|p| p.setting.as_str()).collect();
        assert_eq!(settings, [setting], "{problems}");
    }
}

#[test]
fn a_list_of_secrets_rotates_and_each_must_be_long_enough() {
    let config = load(&[("ANTEROOM_SECRET", &format!("{SECRET}, old-{SECRET}"))]).unwrap();
    assert!(config.tokens.secrets.signing().matches(SECRET));
    let all: Vec<&str> = config.tokens.secrets.iter().map(Secret::reveal).collect();
    assert_eq!(all, [SECRET, &format!("old-{SECRET}")]);
    let problems = load(&[("ANTEROOM_SECRET", &format!("{SECRET},short"))]).unwrap_err();
    assert!(problems.to_string().contains("secret 2 of the list has 5 bytes"), "{problems}");
}

#[test]
fn secrets_come_from_files_too() {
    let (secret, password) = (file(&format!("{SECRET}\n")), file("p@ss\n"));
    let given = [
        ("ANTEROOM_SECRET_FILE", secret.path().to_str().unwrap()),
        ("ANTEROOM_REDIS_PASSWORD_FILE", password.path().to_str().unwrap()),
        ("ANTEROOM_REDIS_URL", "rediss://bob@h"),
    ];
    let config = Config::load(None, &variables(&given)).unwrap();
    assert!(config.tokens.secrets.signing().matches(SECRET));
    let StoreConfig::Redis(target) = &config.store else { panic!("{:?}", config.store) };
    assert!(target.password.as_ref().unwrap().matches("p@ss"));
    assert_eq!(target.user.as_deref(), Some("bob"));
    assert!(!format!("{config:?}").contains("p@ss"));
}

#[test]
fn a_file_that_is_not_toml_is_named_with_its_line_and_not_quoted() {
    let file = file("tick_ms = 100\nsecret = \"hunter2\n");
    let problems = Config::load(Some(file.path()), &variables(&[("ANTEROOM_SECRET", SECRET)])).unwrap_err();
    let text = problems.to_string();
    assert!(text.contains(&format!("{}:2", file.path().display())), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn risky_settings_are_warned_of() {
    let given = [
        ("ANTEROOM_JWKS_URL", "http://issuer/keys"),
        ("ANTEROOM_JWT_ISSUER", "i"),
        ("ANTEROOM_JWT_AUDIENCE", "a"),
        ("ANTEROOM_ROOMS_UNKNOWN", "create"),
        ("ANTEROOM_ADMIN_TOKEN", "letmein"),
        ("ANTEROOM_TRUSTED_PROXIES", "0.0.0.0/0"),
    ];
    assert_eq!(load(&given).unwrap().warnings().len(), 5);
    let given = [("ANTEROOM_STATE_DIR", "/tmp")];
    assert_eq!(load(&given).unwrap().warnings(), Vec::<String>::new());
}

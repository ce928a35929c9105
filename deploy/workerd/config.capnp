# The edge on workerd. Started by ./run, which says where the built worker is (as an import path) and where to listen.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    # Origin and upstream may be anywhere: on the internet, in a private network, on this machine.
    (name = "internet", network = (
      allow = ["public", "private", "local"],
      tlsOptions = (trustBrowserCas = true),
    )),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8080", http = (), service = "edge")],
);

const edge :Workerd.Worker = (
  modules = [
    (name = "index.js", esModule = embed "/index.js"),
    (name = "index_bg.wasm", wasm = embed "/index_bg.wasm"),
  ],
  # The same as in wrangler.toml.
  compatibilityDate = "2026-04-01",
  bindings = [
    (name = "ORIGIN", fromEnvironment = "ORIGIN"),
    (name = "UPSTREAM", fromEnvironment = "UPSTREAM"),
    (name = "TRUSTED", fromEnvironment = "TRUSTED"),
    (name = "ANTEROOM_UPSTREAM_FIRST_BYTE_SEC", fromEnvironment = "ANTEROOM_UPSTREAM_FIRST_BYTE_SEC"),
    (name = "ANTEROOM_SECRET", fromEnvironment = "ANTEROOM_SECRET"),
    (name = "ANTEROOM_EDGE_TOKEN", fromEnvironment = "ANTEROOM_EDGE_TOKEN"),
  ],
);

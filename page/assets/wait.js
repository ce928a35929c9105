// Shows what the server says, when the server says to ask. Nothing here decides anything: going in is a form post.
(() => {
  const $ = (id) => document.getElementById(id);
  const live = JSON.parse($("live").textContent);
  const { words } = live;
  const say = speech(document.documentElement.lang, words);
  const page = $("page") ?? document.body;
  const put = (id, text) => { const at = $(id); if (at && at.textContent !== text) at.textContent = text; };
  const big = (id, text) => { put(id, text); const at = $(id); if (at) at.dataset.size = say.size(text); };
  const head = (text) => { document.title = `${text} · ${live.title}`; };
  const tell = (text) => put("news", text);
  // A machine that sleeps stops one of the clocks.
  const zero = Date.now() - performance.now();
  const tick = () => Math.max(performance.now(), Date.now() - zero);
  const start = tick();
  // The server's time, as far as the page has heard.
  let ahead = live.now - start;
  const now = () => tick() + ahead;
  const sec = (ms) => Math.max(0, Math.floor(ms / 1000));
  const here = () => location.pathname + location.search;
  const carries = () => here().includes("anteroom_token=");
  // Asked by trying: some browsers say that cookies are on and keep none, or over http none that are secure, as ours are.
  const keeps = (() => {
    const trial = "__Host-anteroom-trial=1", rules = "Path=/; Secure; SameSite=Lax";
    try {
      document.cookie = `${trial}; ${rules}`;
      const kept = document.cookie.includes(trial);
      document.cookie = `${trial}; ${rules}; Max-Age=0`;
      return kept;
    } catch { return false; }
  })();
  // A place that no cookie keeps is kept by the address, for whoever reloads. One that a cookie keeps is not for addresses: they are
  // passed on.
  if (live.token && !keeps && !carries()) history.replaceState(null, "", `${here()}${location.search ? "&" : "?"}anteroom_token=${live.token}`);
  if (!live.token && keeps && carries()) history.replaceState(null, "", live.to);
  const again = () => {
    if (carries() || here() === live.to) location.reload();
    else location.replace(live.to);
  };
  let due = Infinity, timer, asking = false, failures = 0, work;
  const next = (ms) => { clearTimeout(timer); due = tick() + ms; timer = setTimeout(() => work(), ms); };
  async function get(url, headers) {
    const stop = new AbortController();
    const limit = setTimeout(() => stop.abort(), 10000);
    try {
      const answer = await fetch(url, { headers, cache: "no-store", signal: stop.signal });
      return [answer, answer.headers.get("content-type")?.includes("json") ? await answer.json() : (stop.abort(), null)];
    } finally { clearTimeout(limit); }
  }
  // Says so and goes on asking, never earlier than told, and not in step with everybody else.
  function lose(answer, told) {
    failures += 1;
    const text = answer ? words.busy : words.lost;
    put("connection", text);
    if (failures === 2) tell(text);
    const least = Math.max(told, (Number(answer?.headers.get("retry-after")) || 0) * 1000);
    next(Math.max(least, Math.min(30000, told * 1.5 ** failures)) * (1 + Math.random() / 4));
  }
  function found(text) {
    if (failures > 1) tell(words.found);
    failures = 0;
    put("connection", text);
  }
  function opening(at) {
    big("opens", say.clock(sec(at - now())));
    put("opens-at", say.moment(new Date(at)));
  }

  // A page without a place asks whether there is another page by now, and only then loads it.
  if (live.scene !== "line") {
    const pause = (live.retry ?? 15) * 1000;
    // Everybody counts down to the same second; not everybody may ask in it.
    const spread = Math.random();
    const wait = () => (live.opens > now() ? Math.min(300000, live.opens - now() + 500 + spread * 3000) : pause * (1 + spread / 4));
    work = async () => {
      if (asking) return;
      if (!keeps) return again();
      asking = true;
      try {
        const [answer] = await get(live.to, { accept: "text/html" });
        const scene = answer.headers.get("anteroom-scene");
        if (scene === live.mark) { found(""); next(Math.max(wait(), (Number(answer.headers.get("retry-after")) || 0) * 1000)); }
        else if (answer.status === 429 || (answer.status >= 500 && !scene)) lose(answer, pause);
        else again();
      } catch { lose(null, pause); }
      asking = false;
    };
    next(wait());
    if (live.opens) {
      const count = () => opening(live.opens);
      count();
      setInterval(count, 1000);
    }
  } else {
    // What a reload must not undo: the position never goes up, the progress never goes back.
    const memory = {
      read: () => { try { return JSON.parse(sessionStorage.getItem(live.key)) ?? {}; } catch { return {}; } },
      keep: (all) => { try { sessionStorage.setItem(live.key, JSON.stringify(all)); return true; } catch { return false; } },
    };
    let { of = 0, best = Infinity, taken = 0 } = memory.read();
    of = Math.max(of, live.of);
    best = Math.min(best, live.best);
    let status, heard, state, newsAt = start, first = true;

    const stateOf = (s) =>
      s.status === "ready" ? "ready" : s.mode === "hold" ? "paused"
        : s.opens_at && Date.parse(s.opens_at) > now() ? "before" : "waiting";

    function draw() {
      const since = sec(tick() - heard);
      put("waited", say.clock(status.waiting_time + since));
      put("updated", say.ago(since));
      const is = stateOf(status);
      if (is !== state) change(is);
      if (is === "ready") big("left", say.clock(sec(Date.parse(status.claim_expires_at) - now())));
      else if (is === "before") opening(Date.parse(status.opens_at));
      else if (is === "waiting") {
        // Counted down until news is due, and no further: what is not known is not made up.
        const past = (s) => Math.max(0, s - Math.min(since, Math.ceil(status.poll_after_ms / 1000)));
        if (status.eta_sec === null) {
          put("eta", words.unknown);
          put("range", words.unknown_why);
        } else {
          const eta = past(status.eta_sec);
          put("eta", eta < 1 ? words.soon : say.fill(words.eta, "time", say.about(eta)));
          put("range", say.fill(words.likely, "range", say.range(past(status.eta_low_sec), past(status.eta_high_sec))));
        }
      }
    }

    function change(is) {
      const was = state;
      state = page.dataset.state = is;
      title();
      if (is === "ready") turn();
      else if (was && is === "paused") tell(words.news_paused);
      else if (was === "paused" && is === "waiting") tell(words.news_resumed);
    }

    function title() {
      if (state === "ready") head(words.title_ready);
      else if (state === "before") head(words.title_before);
      else head(say.count(state === "paused" ? words.title_paused : words.title, best));
    }

    // Who looks at the page is taken in, once. Who does not is asked: a turn that nobody sees is no use to anybody.
    function turn() {
      const seen = () => !document.hidden && !$("leave")?.open;
      const button = $("enter");
      let asked = false;
      const ask = () => {
        asked = true;
        put("auto", words.confirm);
        tell(`${words.news_ready} ${words.confirm}`);
        if (document.activeElement === document.body) button?.focus({ preventScroll: true });
      };
      // Without a memory a browser that keeps no pass would be sent in again and again.
      if (!seen() || taken || !memory.keep({ of, best, taken: 1 })) {
        ask();
        document.addEventListener("visibilitychange", () => { if (!document.hidden) button?.focus({ preventScroll: true }); });
        return;
      }
      taken = 1;
      put("auto", words.entering);
      tell(`${words.news_ready} ${words.entering}`);
      setTimeout(() => { if (!asked) seen() ? $("go")?.submit() : ask(); }, 1500);
    }

    function take(answer) {
      status = answer;
      heard = tick();
      found(status.stale ? words.stale : "");
      const ready = status.status === "ready";
      best = ready ? 0 : Math.max(Math.min(best, status.position), Math.min(1, status.position));
      of = Math.max(of, status.position, 1);
      memory.keep({ of, best, taken });
      const bar = $("progress");
      if (bar) { bar.max = of; bar.value = of - best; }
      if (!ready) {
        big("position", say.grouped(best));
        put("total", say.count(words.of, Math.max(status.total_waiting, best)));
        const behind = Math.max(0, status.total_waiting - status.position);
        put("behind", behind ? say.count(words.behind, behind) : words.first);
        put("before", best ? say.count(words.before, best) : words.before_any);
        if (state) title();
        if (!first && state === "waiting" && heard - newsAt > 60000) { newsAt = heard; tell(say.count(words.news, best)); }
      }
      const box = $("message");
      if (box && (status.message ?? "") !== $("message-text").textContent) {
        put("message-text", status.message ?? "");
        box.hidden = !status.message;
        if (!first && status.message) tell(status.message);
      }
      draw();
      first = false;
      next(status.poll_after_ms);
    }

    work = async () => {
      if (asking) return;
      asking = true;
      try {
        const [answer, body] = await get(live.url, live.token ? { authorization: `Bearer ${live.token}` } : {});
        // Whole seconds, so only what is more than their error counts.
        const date = Date.parse(answer.headers.get("date")) + 500 || Math.max(Date.parse(body?.as_of) || 0, now());
        if (Math.abs(date - now()) > 1500) ahead = date - tick();
        if (answer.ok && body && body.status !== "entered") take(body);
        // The place is over, or was used in another tab: the server's page says what comes after.
        else if (answer.ok || (answer.status === 404 && body?.error)) again();
        else lose(answer, status.poll_after_ms);
      } catch { lose(null, status.poll_after_ms); }
      asking = false;
    };
    addEventListener("offline", () => put("connection", words.lost));
    take(live.status);
    setInterval(draw, 1000);
  }

  // A browser may have held the timer back. Never earlier than told.
  const overdue = () => { if (!document.hidden && tick() >= due) work(); };
  document.addEventListener("visibilitychange", overdue);
  addEventListener("pageshow", overdue);
  addEventListener("online", overdue);
})();

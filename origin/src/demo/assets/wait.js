"use strict";
// Shows what the server says, when the server says to ask. Nothing here decides anything: going in is a form post.
(() => {
  const $ = (id) => document.getElementById(id);
  const live = JSON.parse($("live").textContent);
  const { words } = live;
  const lang = document.documentElement.lang;
  const grouped = new Intl.NumberFormat(lang);
  const plural = new Intl.PluralRules(lang);
  const form = (text, n) => (text.other ? text[plural.select(n)] ?? text.other : text);
  const say = (text, n) => form(text, n).replace("{n}", grouped.format(n));
  const put = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
  const clock = (sec) => `${Math.floor(sec / 60)}:${String(sec % 60).padStart(2, "0")}`;
  const page = $("page");
  const name = document.title.split(" · ").pop();

  // What a reload must not undo: the position never goes up, the progress never goes back.
  const memory = {
    get: () => { try { return JSON.parse(sessionStorage.getItem(live.key)) ?? {}; } catch { return {}; } },
    set: (all) => { try { sessionStorage.setItem(live.key, JSON.stringify(all)); } catch { /* Not kept, then. */ } },
  };
  let { of = 0, best = Infinity } = memory.get();
  of = Math.max(of, live.of);
  best = Math.min(best, live.best);

  let status, heard, due, timer, asking = false, failures = 0, newsAt = -Infinity, wasReady = false;

  // The same words as the server's, in origin/src/demo/words.rs.
  function about(sec) {
    if (sec < 1) return words.soon;
    if (sec < 10) return say(words.about_second, sec);
    if (sec <= 90) return say(words.about_second, Math.round(sec / 5) * 5);
    return say(words.about_minute, Math.round(sec / 60));
  }
  function range(low, high) {
    const [step, size, unit] = high <= 10 ? [1, 1, "second"] : high <= 90 ? [5, 1, "second"] : [60, 60, "minute"];
    const from = Math.floor(low / step) * step / size;
    const to = Math.max(1, Math.ceil(high / step) * step / size);
    if (from < 1) return say(words["under_" + unit], to);
    if (from === to) return say(words["about_" + unit], to);
    return words["range_" + unit].replace("{low}", grouped.format(from)).replace("{high}", grouped.format(to));
  }

  function draw() {
    const since = Math.floor((performance.now() - heard) / 1000);
    put("waited", clock(status.waiting_time + since));
    put("updated", since < 2 ? words.now : say(words.ago, since));
    if (status.status === "ready") {
      const left = Math.floor((Date.parse(status.claim_expires_at) - Date.parse(status.as_of)) / 1000) - since;
      put("left", clock(Math.max(0, left)));
    } else if (status.eta_sec === null) {
      put("eta", words.unknown);
      put("range", words.unknown_why);
    } else {
      // Counted down until news is due, and no further: what is not known is not made up.
      const past = (sec) => Math.max(0, sec - Math.min(since, Math.ceil(status.poll_after_ms / 1000)));
      const eta = past(status.eta_sec);
      put("eta", eta < 1 ? words.soon : words.eta.replace("{time}", about(eta)));
      put("range", words.likely.replace("{range}", range(past(status.eta_low_sec), past(status.eta_high_sec))));
    }
  }

  function take(answer) {
    status = answer;
    heard = performance.now();
    const ready = status.status === "ready";
    if (failures > 1) put("news", words.found);
    failures = 0;
    put("connection", status.stale ? words.stale : "");
    if (ready) best = 0;
    else best = Math.min(best, status.position);
    of = Math.max(of, status.position, 1);
    memory.set({ of, best });
    $("progress").max = of;
    $("progress").value = of - best;
    if (ready && !wasReady) {
      wasReady = true;
      page.dataset.state = "ready";
      document.title = `${words.title_ready} · ${name}`;
      if (heardBefore) put("news", words.news_ready);
      // Only where no other choice is being made.
      if (document.activeElement === document.body) $("enter").focus({ preventScroll: true });
    }
    if (!ready) {
      put("position", grouped.format(best));
      put("total", say(words.of, Math.max(status.total_waiting, best)));
      const behind = Math.max(0, status.total_waiting - status.position);
      put("behind", behind ? say(words.behind, behind) : words.first);
      document.title = `${say(words.title, best)} · ${name}`;
      if (heardBefore && heard - newsAt > 60000) { newsAt = heard; put("news", say(words.news, best)); }
    }
    draw();
    heardBefore = true;
    next(status.poll_after_ms);
  }
  let heardBefore = false;

  function next(ms) {
    clearTimeout(timer);
    due = performance.now() + ms;
    timer = setTimeout(ask, ms);
  }

  function lose(retryAfter) {
    failures += 1;
    if (failures > 1) { put("connection", words.lost); put("news", words.lost); }
    const told = Math.max(status.poll_after_ms, (Number(retryAfter) || 0) * 1000);
    next(Math.max(told, Math.min(30000, told * 1.5 ** (failures - 1))));
  }

  async function ask() {
    if (asking) return;
    asking = true;
    try {
      const headers = live.token ? { authorization: `Bearer ${live.token}` } : {};
      const answer = await fetch(live.url, { headers, cache: "no-store", signal: AbortSignal.timeout(10000) });
      const body = await answer.json();
      if (answer.ok && body.status !== "entered") take(body);
      // The place is over, or was used in another tab: the server's page says what comes after.
      else if (answer.ok || (answer.status === 404 && body.error)) location.reload();
      else lose(answer.headers.get("retry-after"));
    } catch {
      lose();
    }
    asking = false;
  }

  // A browser may have held the timer back. Never earlier than told.
  const overdue = () => { if (!document.hidden && performance.now() >= due) ask(); };
  document.addEventListener("visibilitychange", overdue);
  addEventListener("pageshow", overdue);
  addEventListener("online", overdue);
  addEventListener("offline", () => put("connection", words.lost));

  take(live.status);
  setInterval(draw, 1000);
})();

// How numbers and times are said. The same rounding as in page/src/words.rs: page/tests/words.json holds both to it.
const speech = (lang, words) => {
  const number = new Intl.NumberFormat(lang);
  const plural = new Intl.PluralRules(lang);
  const relative = new Intl.RelativeTimeFormat(lang, { numeric: "always", style: "short" });
  const unit = (name) => new Intl.NumberFormat(lang, { style: "unit", unit: name, unitDisplay: "long" });
  const grouped = (n) => number.format(n);
  const count = (text, n) => (text.other ? text[plural.select(n)] ?? text.other : text).replace("{n}", () => grouped(n));
  const fill = (text, name, value) => text.replace(`{${name}}`, () => value);
  const duration = ([n, name]) => unit(name).format(n);
  const rounded = (sec) => {
    if (sec < 10) return [sec, "second"];
    if (sec <= 90) return [Math.round(sec / 5) * 5, "second"];
    if (sec < 1170) return [Math.round(sec / 60), "minute"];
    if (sec <= 7200) return [Math.round(sec / 300) * 5, "minute"];
    if (sec <= 172800) return [Math.round(sec / 3600), "hour"];
    return [Math.round(sec / 86400), "day"];
  };
  const about = (sec) => duration(rounded(sec));
  const range = (low, high) => {
    const [step, size, name] =
      high <= 10 ? [1, 1, "second"] : high <= 90 ? [5, 1, "second"]
        : high < 1170 ? [60, 60, "minute"] : high <= 7200 ? [300, 60, "minute"]
          : high <= 172800 ? [3600, 3600, "hour"] : [86400, 86400, "day"];
    const from = Math.floor(low / step) * step / size;
    const to = Math.max(1, Math.ceil(high / step) * step / size);
    if (from < 1) return fill(words.under, "time", duration([to, name]));
    if (from >= to) return fill(words.about, "time", duration([to, name]));
    const format = unit(name);
    return format.formatRange ? format.formatRange(from, to) : `${format.format(from)} – ${format.format(to)}`;
  };
  const two = (n) => String(n).padStart(2, "0");
  const clock = (sec) => {
    if (sec >= 172800) return duration([Math.floor(sec / 86400), "day"]);
    const min = Math.floor(sec / 60);
    return sec < 3600 ? `${min}:${two(sec % 60)}` : `${Math.floor(min / 60)}:${two(min % 60)}:${two(sec % 60)}`;
  };
  const ago = (sec) => {
    if (sec < 3) return words.now;
    return sec < 60 ? relative.format(-sec, "second") : relative.format(-Math.floor(sec / 60), "minute");
  };
  const moment = (time) => {
    const today = time.toDateString() === new Date().toDateString();
    const day = today ? {} : { weekday: "long", month: "long", day: "numeric" };
    return new Intl.DateTimeFormat(lang, { ...day, hour: "numeric", minute: "2-digit", timeZoneName: "short" }).format(time);
  };
  const size = (text) => (text.length > 9 ? "l" : text.length > 5 ? "m" : "s");
  return { grouped, count, fill, about, range, clock, ago, moment, size };
};

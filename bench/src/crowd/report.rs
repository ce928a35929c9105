//! What the crowd saw, as tables.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    story::{Kind, Outcome, Sample, Story},
    verdict::Check,
};
use crate::{
    markdown::Table,
    quantile::{median, quantile},
    wire::Stats,
};

/// Estimates from the first seconds of a sale have nothing to go by.
const WARM_UP_MS: f64 = 3000.0;

/// The whole report.
pub fn report(stories: &[Story], stats: Option<&Stats>, checks: &[Check]) -> String {
    let mut text = String::new();
    let mut part = |title: &str, table: Table| {
        if !table.is_empty() {
            let _ = write!(text, "\n{title}\n\n{table}");
        }
    };
    part("People", outcomes(stories));
    part("Wait, from the join to the call", waits(stories));
    part("Estimate against what came (interval: 80 %, to half a second)", estimates(stories));
    part("Requests", requests(stories));
    part("Answers out of the ordinary", faults(stories));
    if let Some(stats) = stats {
        part("The server's own numbers", server(stats));
    }
    let _ = write!(text, "\nPromises\n\n{}", promises(checks));
    text
}

fn outcomes(stories: &[Story]) -> Table {
    let mut counts = BTreeMap::<String, usize>::new();
    for story in stories {
        let name = match &story.outcome {
            Outcome::Broken(why) => format!("broken: {why}"),
            Outcome::Entered => "entered".to_owned(),
            Outcome::Left => "left".to_owned(),
            Outcome::Silent => "went silent".to_owned(),
            Outcome::NoShow => "called, did not come".to_owned(),
            Outcome::Missed => "missed against their will".to_owned(),
            Outcome::Unfinished => "unfinished".to_owned(),
        };
        *counts.entry(name).or_default() += 1;
    }
    let mut table = Table::new(["outcome", "people"]);
    for (name, count) in counts {
        table.row([name, count.to_string()]);
    }
    table.row(["all".to_owned(), stories.len().to_string()]);
    table
}

fn waits(stories: &[Story]) -> Table {
    let mut seconds: Vec<f64> =
        stories.iter().filter_map(|s| Some((s.turn_at()? - s.joined_at?).max(0.0) / 1e3)).collect();
    let mut notice: Vec<f64> =
        stories.iter().filter_map(|s| Some((s.saw_call_at? - s.called_at?).max(0.0) / 1e3)).collect();
    let mut table = Table::new(["seconds", "p50", "p95", "max"]);
    for (name, samples) in [("wait", &mut seconds), ("from the call to seeing it", &mut notice)] {
        let at = |samples: &mut Vec<f64>, q| quantile(samples, q).map_or("–".to_owned(), |s| format!("{s:.1}"));
        let cells = [0.5, 0.95, 1.0].map(|q| at(samples, q));
        let [p50, p95, max] = cells;
        table.row([name.to_owned(), p50, p95, max]);
    }
    table
}

/// One poll, and how long it really took from there.
struct Judged {
    sample: Sample,
    actual: f64,
    after_opening: f64,
}

impl Judged {
    fn error(&self) -> Option<f64> {
        // Below a second the error is compared with a second: nobody minds 0.4 s for 0.1 s.
        Some((self.sample.eta? - self.actual).abs() / self.actual.max(1.0))
    }

    fn covered(&self) -> Option<bool> {
        let (low, high) = self.sample.interval?;
        Some((low - 0.5..=high + 0.5).contains(&self.actual))
    }
}

fn estimates(stories: &[Story]) -> Table {
    let opening = stories.iter().filter_map(|s| s.joined_at).fold(f64::INFINITY, f64::min);
    let judged: Vec<Judged> = stories
        .iter()
        .filter_map(|story| Some((story, story.called_at?)))
        .flat_map(|(story, called_at)| {
            story.samples.iter().map(move |&sample| Judged {
                sample,
                actual: (called_at - sample.at).max(0.0) / 1e3,
                after_opening: sample.at - opening,
            })
        })
        .collect();
    let mut table = Table::new(["people ahead and self", "polls", "with estimate", "median error", "in the interval"]);
    let rows: [(&str, u64, u64); 5] = [
        ("1 to 10", 1, 10),
        ("11 to 100", 11, 100),
        ("101 to 1,000", 101, 1000),
        ("over 1,000", 1001, u64::MAX),
        ("all", 0, u64::MAX),
    ];
    for (name, from, to) in rows {
        estimate_row(&mut table, name, judged.iter().filter(|j| (from..=to).contains(&j.sample.position)));
    }
    estimate_row(&mut table, "all but the first 3 s", judged.iter().filter(|j| j.after_opening >= WARM_UP_MS));
    table
}

fn estimate_row<'a>(table: &mut Table, name: &str, judged: impl Iterator<Item = &'a Judged> + Clone) {
    let polls = judged.clone().count();
    if polls == 0 {
        return;
    }
    let mut errors: Vec<f64> = judged.clone().filter_map(Judged::error).collect();
    let covered: Vec<bool> = judged.filter_map(Judged::covered).collect();
    let inside = covered.iter().filter(|&&inside| inside).count();
    table.row([
        name.to_owned(),
        polls.to_string(),
        percent(errors.len(), polls),
        median(&mut errors).map_or("–".to_owned(), |e| format!("{:.1} %", e * 100.0)),
        percent(inside, covered.len()),
    ]);
}

fn requests(stories: &[Story]) -> Table {
    let mut table = Table::new(["requests", "all", "a person"]);
    let mut sum = 0;
    for kind in [Kind::Join, Kind::Status, Kind::Enter, Kind::Leave, Kind::End] {
        let count: u64 = stories.iter().filter_map(|s| s.requests.get(&kind)).sum();
        sum += count;
        table.row([format!("{kind:?}").to_lowercase(), count.to_string(), per_person(count, stories.len())]);
    }
    table.row(["together".to_owned(), sum.to_string(), per_person(sum, stories.len())]);
    table
}

fn faults(stories: &[Story]) -> Table {
    let mut counts = BTreeMap::<_, u64>::new();
    for ((kind, text), count) in stories.iter().flat_map(|s| &s.faults) {
        *counts.entry((kind, text)).or_default() += count;
    }
    let mut table = Table::new(["asked, answered", "times"]);
    for ((kind, text), count) in counts {
        table.row([format!("{kind:?}: {text}"), count.to_string()]);
    }
    table
}

fn server(stats: &Stats) -> Table {
    let mut table =
        Table::new(["issued", "serving", "called", "entered", "missed", "left", "waiting", "silent", "ready"]);
    let all = [
        stats.issued,
        stats.serving,
        stats.called_total,
        stats.entered_total,
        stats.missed_total,
        stats.left_total,
        stats.waiting,
        stats.silent,
        stats.ready,
    ];
    table.row(all.map(|n| n.to_string()));
    table
}

fn promises(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check { promise, kept, detail } in checks {
        let verdict = match kept {
            Some(true) => "kept",
            Some(false) => "BROKEN",
            None => "not told",
        };
        let _ = writeln!(text, "{verdict:>8}: {promise} ({detail})");
    }
    text
}

fn percent(part: usize, whole: usize) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / whole as f64) }
}

fn per_person(count: u64, people: usize) -> String {
    format!("{:.2}", count as f64 / people.max(1) as f64)
}

//! The figures of core's own benches, read from what divan prints.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::table::Line;

/// One measured function: names from the outermost group to the argument, and the median in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
struct Figure {
    name: String,
    median_ns: f64,
}

/// Lines for exact position and board build in the longest line that was measured, and one for every other figure.
pub fn lines(output: Option<&Path>) -> Result<Vec<Line>> {
    let Some(path) = output else {
        return Ok(vec![Line::plain("position and board build", "not measured")]);
    };
    let figures = parse(&std::fs::read_to_string(path).with_context(|| path.display().to_string())?);
    if figures.is_empty() {
        return Ok(vec![Line::plain("position and board build", "no figures found")]);
    }
    Ok(figures.iter().map(line).collect())
}

/// A figure about ten million is held against its budget.
fn line(figure: &Figure) -> Line {
    let Figure { name, median_ns } = figure;
    let digits: String = name.chars().filter(|c| *c != '_' && *c != ',').collect();
    let ten_million = digits.contains("10000000") && !digits.contains("100000000") || digits.contains("10m");
    let (what, measured) = (format!("core: {name}"), nice(*median_ns));
    if ten_million && name.contains("position") {
        Line::judged(what, measured, "<= 200 ns", *median_ns <= 200.0)
    } else if ten_million && name.contains("board") {
        Line::judged(what, measured, "<= 20 ms", *median_ns <= 20e6)
    } else {
        Line::plain(what, measured)
    }
}

/// Reads divan's tree: the depth of a name is where it begins, the third column is the median.
fn parse(output: &str) -> Vec<Figure> {
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut figures = Vec::new();
    for line in output.lines().filter(|line| line.contains('│') || line.contains('─')) {
        let Some(start) = line.find("─ ").map(|at| at + "─ ".len()) else { continue };
        let depth = line[..start].chars().count();
        let columns: Vec<&str> = line[start..].split('│').map(str::trim).collect();
        // The name and the first figure share a column, parted by two or more spaces.
        let name = columns[0].split("  ").next().unwrap_or_default().trim();
        path.retain(|(d, _)| *d < depth);
        path.push((depth, name.to_owned()));
        if let Some(median_ns) = columns.get(2).and_then(|column| nanoseconds(column)) {
            let name = path.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join("/");
            figures.push(Figure { name, median_ns });
        }
    }
    figures
}

fn nanoseconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let scale = match unit.trim() {
        "ps" => 1e-3,
        "ns" => 1.0,
        "µs" | "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

fn nice(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
Timer precision: 20 ns
line               fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ board_build                   │               │               │               │         │
│  ├─ 1000000      1.2 ms        │ 2.1 ms        │ 1.4 ms        │ 1.5 ms        │ 100     │ 100
│  ╰─ 10000000     12.2 ms       │ 32.1 ms       │ 14.4 ms       │ 15.1 ms       │ 100     │ 100
├─ call            1.5 µs        │ 2 µs          │ 1.6 µs        │ 1.7 µs        │ 100     │ 100
╰─ position                      │               │               │               │         │
   ╰─ 10000000     150.2 ns      │ 320.1 ns      │ 210.4 ns      │ 215.1 ns      │ 100     │ 100
";

    #[test]
    fn divans_tree_is_read() {
        let figures = parse(OUTPUT);
        let names: Vec<_> = figures.iter().map(|figure| figure.name.as_str()).collect();
        assert_eq!(names, ["board_build/1000000", "board_build/10000000", "call", "position/10000000"]);
        assert_eq!(figures[2].median_ns, 1600.0);
    }

    #[test]
    fn only_ten_million_is_judged() {
        let met: Vec<_> = parse(OUTPUT).iter().map(|figure| line(figure).met).collect();
        assert_eq!(met, [None, Some(true), None, Some(false)]);
    }
}

//! `cargo xtask test`: every step, its time, and the count at the end.

use std::{
    collections::VecDeque,
    env,
    io::{self, BufRead as _, BufReader, IsTerminal as _},
    time::Instant,
};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    command::at_root,
    steps::{STEPS, Step},
};

/// Which steps.
#[derive(Debug, Args)]
pub struct Options {
    /// Run only this step; may be given several times. `--list` names them.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Print the steps and stop.
    #[arg(long)]
    list: bool,
}

/// So many of the last lines of a step that failed are told again at the end: in a long log nobody finds them, and some keep only its end.
const TOLD_AGAIN: usize = 60;

/// Runs the steps, all of them even when one fails. `Ok(false)` means that one did.
pub fn run(options: &Options) -> Result<bool> {
    if options.list {
        for Step { name, about, .. } in STEPS {
            println!("{name:<16} {about}");
        }
        return Ok(true);
    }
    let steps = chosen(&options.only)?;
    let mut lines = Vec::new();
    let mut ends = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}: {}", index + 1, steps.len(), step.name, step.about);
        let begun = Instant::now();
        let end = apart(step)?;
        let verdict = if end.is_none() { "passed" } else { "FAILED" };
        let took = begun.elapsed().as_secs_f64();
        println!("-- {}: {verdict} ({took:.1} s)", step.name);
        lines.push(format!("{:<16} {took:>7.1} s  {verdict}", step.name));
        ends.extend(end.map(|end| (step.name, end)));
    }
    for (name, end) in &ends {
        println!("\n== {name} FAILED, its last {} lines:", end.len());
        end.iter().for_each(|line| println!("{line}"));
    }
    println!("\n== summary\n{}", lines.join("\n"));
    println!("{} passed, {} failed", steps.len() - ends.len(), ends.len());
    Ok(ends.is_empty())
}

/// Runs one step alone, in this process.
pub fn step(name: &str) -> Result<bool> {
    (chosen(&[name.to_owned()])?[0].run)().map(|()| true)
}

/// Runs a step in a process of its own and shows what it prints; the end of that, if it fails.
fn apart(step: &Step) -> Result<Option<VecDeque<String>>> {
    let (printed, print) = io::pipe()?;
    let mut command = at_root(env::current_exe()?)?;
    command.args(["step", step.name]).stdout(print.try_clone()?).stderr(print);
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always").env("FORCE_COLOR", "1");
    }
    let mut child = command.spawn()?;
    // It holds the other end of the pipe, and what it prints ends when nobody does.
    drop(command);
    let mut end = VecDeque::new();
    for line in BufReader::new(printed).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        if end.len() == TOLD_AGAIN {
            end.pop_front();
        }
        end.push_back(line);
    }
    Ok((!child.wait()?.success()).then_some(end))
}

fn chosen(only: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = only.iter().find(|name| STEPS.iter().all(|step| step.name != name.as_str())) {
        let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        bail!("no step is called {unknown}; there are {}", names.join(", "));
    }
    Ok(STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_by_name_and_keep_their_order() {
        let names = |only: &[&str]| {
            let only: Vec<_> = only.iter().map(ToString::to_string).collect();
            chosen(&only).map(|steps| steps.iter().map(|step| step.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["test", "fmt"]).unwrap(), ["fmt", "test"]);
        assert_eq!(names(&[]).unwrap().len(), STEPS.len());
        assert!(names(&["nothing"]).is_err());
    }
}

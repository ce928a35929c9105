//! `cargo xtask test`: every step, its time, and the count at the end.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::{STEPS, Step};

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
    let mut failed = 0;
    for (index, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}: {}", index + 1, steps.len(), step.name, step.about);
        let begun = Instant::now();
        let result = (step.run)();
        let took = begun.elapsed().as_secs_f64();
        let verdict = match result {
            Ok(()) => "passed".to_owned(),
            Err(error) => {
                failed += 1;
                format!("FAILED: {error:#}")
            }
        };
        println!("-- {}: {verdict} ({took:.1} s)", step.name);
        lines.push(format!("{:<16} {took:>7.1} s  {verdict}", step.name));
    }
    println!("\n== summary\n{}", lines.join("\n"));
    println!("{} passed, {failed} failed", steps.len() - failed);
    Ok(failed == 0)
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

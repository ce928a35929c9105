//! Puts the parts of the page into the crate: every file of `words/` is a language, and styles and scripts lose their
//! indentation and comments, since they go into every page.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    println!("cargo::rerun-if-changed=words");
    println!("cargo::rerun-if-changed=assets");

    let mut files: Vec<_> = fs::read_dir("words")?.collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut table = String::from("&[\n");
    for file in files {
        let path = file.path().canonicalize()?;
        if path.extension().is_some_and(|extension| extension == "json") {
            let tag = path.file_stem().and_then(|tag| tag.to_str()).ok_or("a language file has no name")?;
            writeln!(table, "    ({tag:?}, include_str!({path:?})),")?;
        }
    }
    table.push_str("]\n");
    fs::write(out.join("languages.rs"), table)?;

    for (name, parts) in [("style.css", &["style.css"][..]), ("wait.js", &["words.js", "wait.js"])] {
        let mut squeezed = String::new();
        for part in parts {
            let text = fs::read_to_string(Path::new("assets").join(part))?;
            // Line by line, so no text may run over a line: neither file has a template literal or a string that does.
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
                squeezed.push_str(line);
                squeezed.push('\n');
            }
        }
        fs::write(out.join(name), squeezed)?;
    }
    Ok(())
}

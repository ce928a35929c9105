//! What an operator's template may not do: work without end, and nest so deep that reading it takes the whole stack.
//!
//! The engine counts no steps. It need not: without lists of its own and without loops within loops, a template goes through its
//! text some dozens of times at most, and how much it writes is limited where it is written.

/// Most tags that begin with `{%`. Blocks within blocks are compiled by recursion, and every block is a tag.
const MOST_TAGS: usize = 400;

/// Whether a template keeps within bounds; its syntax is the engine's business. Reads the text once, tag by tag as the engine does
/// until it finds something wrong.
///
/// # Errors
///
/// What the template may not do, and in which line.
pub(crate) fn keep(source: &str) -> Result<(), String> {
    let (mut tags, mut loops) = (0, 0_usize);
    let mut rest = source;
    while let Some((before, after)) = rest.split_once('{') {
        let line = || 1 + source[..source.len() - rest.len() + before.len()].matches('\n').count();
        let block = after.starts_with('%');
        if after.starts_with('#') {
            rest = after.split_once("#}").map_or("", |(_, rest)| rest);
            continue;
        }
        if !block && !after.starts_with('{') {
            rest = after;
            continue;
        }
        let inside = &after[1..];
        let after = match end(inside) {
            Ok(after) => after,
            // Each of them begins something that is compiled by recursion, or a list to go through.
            Err(sign) => {
                let there_are = "templates have variables, but no lists, maps, functions and filters";
                return Err(format!("line {}: {sign} in a tag; {there_are}", line()));
            }
        };
        if block {
            tags += 1;
            match keyword(inside) {
                "for" => loops += 1,
                "endfor" => loops = loops.saturating_sub(1),
                _ => {}
            }
        }
        if tags > MOST_TAGS {
            return Err(format!("line {}: more than {MOST_TAGS} tags that begin with {{%", line()));
        }
        if loops > 1 {
            return Err(format!("line {}: a loop within a loop", line()));
        }
        rest = after;
    }
    Ok(())
}

/// What comes after a tag, given what comes after its beginning; nothing where the engine reads no further. `Err` is a character
/// that may not stand in a tag.
fn end(inside: &str) -> Result<&str, char> {
    let mut quoted = false;
    let mut before = ' ';
    for (at, character) in inside.char_indices() {
        let after = &inside[at + character.len_utf8()..];
        match character {
            '"' if quoted => quoted = before == '\\',
            '"' => quoted = true,
            '\n' | '\r' if quoted => return Ok(""),
            _ if quoted => {}
            '}' | '%' if after.starts_with('}') => return Ok(&after[1..]),
            '{' if after.starts_with(['{', '%', '#']) => return Ok(""),
            '(' | '[' | '{' | '|' => return Err(character),
            _ => {}
        }
        before = character;
    }
    Ok("")
}

/// The word that a tag begins with.
fn keyword(inside: &str) -> &str {
    let word = inside.strip_prefix('-').unwrap_or(inside).trim_start();
    word.split(|character: char| !character.is_ascii_alphanumeric()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_work_without_end_or_take_the_whole_stack_is_refused_with_its_line() {
        let many = "{% if title %}".repeat(MOST_TAGS + 1);
        for (template, problem) in [
            ("\n{% for x in [1, 2] %}{% endfor %}", "line 2: [ in a tag"),
            ("{{ ((((title)))) }}", "line 1: ( in a tag"),
            ("{{ { \"a\": title } }}", "line 1: { in a tag"),
            ("{{ title | a | a }}", "line 1: | in a tag"),
            ("{{ \"\\\" }} \" | a }}", "line 1: | in a tag"),
            ("{#}\n{{ title | a }}", "line 2: | in a tag"),
            ("{% for k, v in t %}\n\n{%- for k, v in t %}", "line 3: a loop within a loop"),
            (many.as_str(), "line 1: more than 400 tags"),
        ] {
            let said = keep(template).expect_err(template);
            assert!(said.starts_with(problem), "{template}: {said}");
        }
    }

    #[test]
    fn what_stands_outside_of_tags_and_in_quotes_is_free() {
        for template in [
            "<style>a { b: c(d) } | [x]</style>{# {% for x in [1] %}{% for x in [1] %} | #}",
            "{{ \"a | ( [ { }} %}\" }}",
            "{% for x in headings %}{% endfor %}{%- for x in headings -%}{% endfor %}",
            "{% include \"head.html\" %}{{ t.page.enter }} é | {",
        ] {
            assert_eq!(keep(template), Ok(()), "{template}");
        }
    }
}

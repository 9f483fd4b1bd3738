//! The prompt.

use std::io::Write;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::time::Instant;

use crate::shell::{Options, OutputFormat, Remote, end_of_statement, format, meta_sql};

const HELP: &str = "\
Statements end with ;
  \\d [TABLE]          tables, or a table's columns
  \\t                  the T that queries see, and what it accounts for
  \\x                  one column a line, on or off
  \\format FORMAT      table, csv or json
  \\timing             show times, on or off
  \\q                  quit (also Ctrl-D)
";

/// Reads and runs statements until the end of input.
pub async fn interact(remote: &dyn Remote, mut options: Options, out: &mut (dyn Write + Send)) -> Result<(), String> {
    let mut editor = DefaultEditor::new().map_err(|error| format!("open the prompt: {error}"))?;
    if let Some(file) = &options.history_file {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| format!("create {}: {error}", folder.display()))?;
        }
        // The first time there is none.
        let _ = editor.load_history(file);
    }
    say(out, "OptiBid SQL. \\? for help.\n")?;
    let mut pending = String::new();
    loop {
        let prompt = if pending.is_empty() { "optibid=> " } else { "optibid-> " };
        let read = tokio::task::spawn_blocking(move || {
            let line = editor.readline(prompt);
            (editor, line)
        });
        let line;
        (editor, line) = read.await.map_err(|error| format!("read the prompt: {error}"))?;
        match line {
            Ok(line) if pending.is_empty() && line.trim_start().starts_with('\\') => {
                remember(&mut editor, &line);
                if !meta(remote, &mut options, line.trim(), out).await? {
                    break;
                }
            }
            Ok(line) => {
                pending.push_str(&line);
                pending.push('\n');
                while let Some(end) = end_of_statement(&pending) {
                    let statement = pending[..end].trim().to_owned();
                    pending = pending[end..].trim_start().to_owned();
                    remember(&mut editor, &statement);
                    run(remote, &options, statement.trim_end_matches(';'), out).await?;
                }
            }
            Err(ReadlineError::Interrupted) => pending.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(format!("read the prompt: {error}")),
        }
    }
    if let Some(file) = &options.history_file {
        editor.save_history(file).map_err(|error| format!("write {}: {error}", file.display()))?;
    }
    Ok(())
}

fn remember(editor: &mut DefaultEditor, line: &str) {
    // A history that is full or refuses duplicates is no reason to stop.
    let _ = editor.add_history_entry(line);
}

/// Runs a backslash command; says whether to go on.
async fn meta(
    remote: &dyn Remote,
    options: &mut Options,
    line: &str,
    out: &mut (dyn Write + Send),
) -> Result<bool, String> {
    let on = |on: bool| if on { "on" } else { "off" };
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["\\q"] => return Ok(false),
        ["\\?"] => say(out, HELP)?,
        ["\\x"] => {
            options.expanded = !options.expanded;
            say(out, &format!("expanded display is {}\n", on(options.expanded)))?;
        }
        ["\\timing"] => {
            options.timing = !options.timing;
            say(out, &format!("timing is {}\n", on(options.timing)))?;
        }
        ["\\format", format] => match format.parse::<OutputFormat>() {
            Ok(format) => options.format = format,
            Err(error) => say(out, &format!("{error}\n"))?,
        },
        _ => match meta_sql(line.trim_start_matches('\\')) {
            Some(sql) => run(remote, options, &sql, out).await?,
            None => say(out, &format!("{line} is no command; try \\?\n"))?,
        },
    }
    Ok(true)
}

async fn run(remote: &dyn Remote, options: &Options, sql: &str, out: &mut (dyn Write + Send)) -> Result<(), String> {
    let begun = Instant::now();
    match remote.run(sql).await {
        Ok(answer) => format::write(&answer, options, out).map_err(|error| format!("write result: {error}"))?,
        Err(error) => say(out, &format!("error: {error}\n"))?,
    }
    if options.timing {
        say(out, &format!("{:.1} ms\n", begun.elapsed().as_secs_f64() * 1000.0))?;
    }
    Ok(())
}

fn say(out: &mut (dyn Write + Send), text: &str) -> Result<(), String> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| format!("write: {error}"))
}

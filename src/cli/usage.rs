//! What is printed when the command line cannot be understood, or when only help was asked for.
//!
//! The parser repeats the argument that it stumbles over. One that was misplaced may be a connection string with a
//! password, so whatever looks like one is taken out of its text.

use std::{env, io::Write, process::ExitCode};

use clap::error::ErrorKind;
use serde_json::json;

/// Prints why the command line is not understood, or the help that was asked for, and gives the exit code.
pub fn not_understood(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    // When it cannot be printed, there is nobody to tell.
    let text = error.to_string();
    let shown = without_secrets(&text);
    if is_help {
        let _ = error.print();
    } else if wants_json() {
        let (message, hint) = shown.split_once("\n\n").unwrap_or((&shown, ""));
        let message = message.strip_prefix("error: ").unwrap_or(message).trim_end();
        let line = json!({ "type": "error", "kind": "usage", "message": message, "hint": hint.trim_end() });
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    } else if shown == text {
        let _ = error.print();
    } else {
        let _ = write!(std::io::stderr().lock(), "{shown}");
    }
    code
}

/// The flag as it stands, for there is no parsed command line to ask.
fn wants_json() -> bool {
    let given = env::args_os().skip(1).any(|argument| argument == "--json");
    given || env::var("TRANSLOAD_JSON").is_ok_and(|value| ["true", "1", "yes", "on"].contains(&value.as_str()))
}

fn without_secrets(text: &str) -> String {
    let arguments = env::args().skip(1).filter_map(|argument| {
        let at = argument.find("mongodb://").or_else(|| argument.find("mongodb+srv://"))?;
        argument.get(at..).map(str::to_owned)
    });
    let text = arguments.fold(text.to_owned(), |text, uri| text.replace(&uri, HIDDEN));
    hide(&text)
}

const HIDDEN: &str = "mongodb://…";

/// Takes out connection strings that are not arguments of their own: out of variables, or parts of arguments.
fn hide(text: &str) -> String {
    hide_if(text, |_| true)
}

/// Takes out connection strings with a password. Those of hints name none but `USER:PASSWORD`.
pub(super) fn hide_credentials(text: &str) -> String {
    hide_if(text, |uri| {
        let (_, rest) = uri.split_once("://").unwrap_or_default();
        rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':') && user != "USER:PASSWORD")
    })
}

fn hide_if(text: &str, is_secret: impl Fn(&str) -> bool) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = ["mongodb://", "mongodb+srv://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| c.is_whitespace() || ['\'', '"'].contains(&c)).unwrap_or(from.len());
        let (uri, after) = from.split_at(end);
        shown.push_str(before);
        shown.push_str(if is_secret(uri) { HIDDEN } else { uri });
        rest = after;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::hide;

    #[test]
    fn connection_strings_are_hidden_wherever_they_stand() {
        let text = "invalid value 'mongodb://ann:secret@a' for '--parallel <N>': mongodb+srv://ann:secret@b\nmore";
        assert_eq!(hide(text), "invalid value 'mongodb://…' for '--parallel <N>': mongodb://…\nmore");
        assert_eq!(hide("nothing"), "nothing");
    }
}

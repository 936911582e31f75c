//! Arguments that several commands share.

use std::{
    io::{IsTerminal, stdin},
    path::PathBuf,
};

use clap::Args;

use super::Output;
use crate::{
    connect::{Server, Uri, connect},
    error::{Error, ErrorKind, Result},
    selection::SelectionOptions,
};

/// Which namespaces a command is about.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Selecting")]
pub(super) struct SelectionArguments {
    /// Take only namespaces that match: a glob as `shop.*`; `*` any run, `?` one character, `\` escapes (repeatable)
    #[arg(long, value_name = "NS", env = "TRANSLOAD_INCLUDE", hide_env_values = true)]
    include: Vec<String>,
    /// Leave out namespaces that match (repeatable)
    #[arg(long, value_name = "NS", env = "TRANSLOAD_EXCLUDE", hide_env_values = true)]
    exclude: Vec<String>,
    /// Take the collections named in a file, one name or namespace a line
    #[arg(long, value_name = "FILE", env = "TRANSLOAD_COLLECTIONS_FILE", hide_env_values = true)]
    collections_file: Option<PathBuf>,
}

impl SelectionArguments {
    pub(super) fn options(self, rename: Vec<String>, default_database: Option<String>) -> SelectionOptions {
        SelectionOptions {
            include: self.include,
            exclude: self.exclude,
            collections_file: self.collections_file,
            rename,
            default_database,
        }
    }
}

/// Connects to what an argument names; asks for a missing password on a terminal.
pub(super) async fn server(argument: &str, connections: usize, output: &Output) -> Result<Server> {
    let (mut uri, warnings) = Uri::read(argument)?;
    warnings.iter().for_each(|warning| output.warn(warning));
    if uri.lacks_password() {
        if !stdin().is_terminal() {
            return Err(Error::new(ErrorKind::Usage, "the connection string names a user without a password")
                .with_hint("put the whole string into an environment variable (env:NAME) or a file (@FILE)")
                .at(uri.to_string()));
        }
        let password = rpassword::prompt_password(format!("password for {uri}: "))
            .map_err(|error| Error::io("terminal", error))?;
        uri = uri.with_password(&password);
    }
    connect(&uri, connections).await
}

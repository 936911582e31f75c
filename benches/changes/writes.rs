//! Commands in a file, one after the other, each whole and raw.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use bson::{Document, RawDocumentBuf, doc};
use mongodb::Client;

/// Operations in one command.
const OPERATIONS: usize = 5_000;

/// One write of one document.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Insert(Document),
    Set(i64, Document),
    Delete(i64),
}

/// A database and its writes, by collections.
pub(crate) type Writes = Vec<(String, Vec<Write>)>;

/// The commands that do `writes` in their order, as large as the server likes them.
pub(crate) fn commands(writes: &[(String, Vec<Write>)], is_ordered: bool) -> Vec<Document> {
    let mut commands = Vec::new();
    for (collection, writes) in writes {
        for run in writes.chunk_by(|one, other| std::mem::discriminant(one) == std::mem::discriminant(other)) {
            for operations in run.chunks(OPERATIONS) {
                let (verb, field) = match operations[0] {
                    Write::Insert(_) => ("insert", "documents"),
                    Write::Set(..) => ("update", "updates"),
                    Write::Delete(_) => ("delete", "deletes"),
                };
                let operations: Vec<Document> = operations.iter().map(operation).collect();
                let majority = doc! { "w": "majority" };
                commands.push(
                    doc! { verb: collection, "ordered": is_ordered, "writeConcern": majority, field: operations },
                );
            }
        }
    }
    commands
}

fn operation(write: &Write) -> Document {
    match write {
        Write::Insert(document) => document.clone(),
        Write::Set(id, fields) => doc! { "q": { "_id": *id }, "u": { "$set": fields.clone() } },
        Write::Delete(id) => doc! { "q": { "_id": *id }, "limit": 1 },
    }
}

/// Puts commands into a file.
pub(crate) fn save(commands: &[Document], file: &Path) {
    let mut file = BufWriter::new(File::create(file).expect("created"));
    for command in commands {
        command.to_writer(&mut file).expect("written");
    }
    file.flush().expect("written");
}

/// Sends what is in a file, to the database of the connection string.
pub(crate) async fn send(uri: &str, file: &Path) {
    let database = Client::with_uri_str(uri).await.expect("connected").default_database().expect("a database");
    let bytes = std::fs::read(file).expect("read");
    let mut rest = bytes.as_slice();
    while let Some(len) = rest.first_chunk::<4>() {
        let (command, after) = rest.split_at(u32::from_le_bytes(*len) as usize);
        let command = RawDocumentBuf::from_bytes(command.to_vec()).expect("a command");
        let reply = database.run_raw_command(command).await.expect("an answer");
        assert!(!reply.contains_key("writeErrors"), "refused");
        rest = after;
    }
}

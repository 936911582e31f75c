//! A stand-in for `mongos`, of which there is no binary to be had: a proxy in front of a member of a replica set that says of
//! itself that it is a router, answers what only a router knows, and passes everything else on as it is.
//!
//! What it proves is which commands are sent, in which order, and what is made of the answers. What a real router and real shards
//! do with them, it does not.

use std::{
    io,
    sync::{Arc, Mutex},
};

use bson::{Document, RawDocument, doc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use transload::sandbox::ReplicaSet;

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;
/// What a message begins with: its length, its id, the id that it answers, its kind.
const HEADER: usize = 16;
/// What stands between the header of an `OP_REPLY` and its document.
const OF_REPLY: usize = 20;
/// Of commands that write, what they write is not looked at.
const WRITTEN: [&str; 3] = ["documents", "updates", "deletes"];
/// What a member of a set says of itself, and a router does not; and what would let the driver compress, or be told of changes.
const OF_A_MEMBER: [&str; 13] = [
    "setName",
    "setVersion",
    "hosts",
    "passives",
    "arbiters",
    "primary",
    "me",
    "secondary",
    "electionId",
    "lastWrite",
    "topologyVersion",
    "compression",
    "isreplicaset",
];

/// What alone would.
const OF_A_CONNECTION: [&str; 2] = ["topologyVersion", "compression"];

/// Under this name an answer has a command that the server is given first: what a real router does by itself.
pub(crate) const FIRST: &str = "first";

/// An answer with this name is none: the command is passed on, and the connection ends.
pub(crate) const CUT: &str = "cut";

/// What is answered in the place of the server: none where it is asked itself.
type Answer = dyn Fn(&Document) -> Option<Document> + Send + Sync;

/// What the connections share.
struct Shared {
    member: String,
    answer: Mutex<Arc<Answer>>,
    asked: Mutex<Vec<Document>>,
    /// Whether it says that it is a router, or the member that it is.
    is_router: bool,
}

/// The stand-in. It ends with the test.
pub(crate) struct Router {
    address: String,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

impl Router {
    /// One in front of the first member of a set. `answer` is given each command, with the database under `$db` and without
    /// what it writes.
    pub(crate) async fn before(
        set: &ReplicaSet,
        answer: impl Fn(&Document) -> Option<Document> + Send + Sync + 'static,
    ) -> Self {
        Router::start(set, true, answer).await
    }

    /// The same, but for what it says that it is: a member of the set, which is to be connected to directly.
    pub(crate) async fn as_the_member(
        set: &ReplicaSet,
        answer: impl Fn(&Document) -> Option<Document> + Send + Sync + 'static,
    ) -> Self {
        Router::start(set, false, answer).await
    }

    async fn start(
        set: &ReplicaSet,
        is_router: bool,
        answer: impl Fn(&Document) -> Option<Document> + Send + Sync + 'static,
    ) -> Self {
        let uri = set.member_uri(0).unwrap();
        let member = uri.split("://").nth(1).unwrap().split('/').next().unwrap();
        let member = member.rsplit('@').next().unwrap().to_owned();
        let answer: Arc<Answer> = Arc::new(answer);
        let shared = Arc::new(Shared { member, answer: Mutex::new(answer), asked: Mutex::default(), is_router });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let listening = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    // A connection ends when one of its ends does.
                    tokio::spawn(async move { drop(serve(client, &shared).await) });
                }
            }
        });
        Router { address, shared, listening }
    }

    /// The connection string of a database.
    pub(crate) fn uri(&self, database: &str) -> String {
        format!("mongodb://{}/{database}", self.address)
    }

    /// Where it listens, `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// From now on, this is answered.
    pub(crate) fn answer(&self, answer: impl Fn(&Document) -> Option<Document> + Send + Sync + 'static) {
        *self.shared.answer.lock().unwrap() = Arc::new(answer);
    }

    /// The commands that it was given, in their order.
    pub(crate) fn asked(&self) -> Vec<Document> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// What a server says that would not do something.
pub(crate) fn error(code: i32, name: &str, message: &str) -> Document {
    doc! { "ok": 0.0, "errmsg": message, "code": code, "codeName": name }
}

/// All documents of a cursor, in one reply.
pub(crate) fn found(namespace: &str, documents: Vec<Document>) -> Document {
    doc! { "cursor": { "firstBatch": documents, "id": 0_i64, "ns": namespace }, "ok": 1.0 }
}

/// Passes on what comes and what is answered, one after the other, as drivers do.
async fn serve(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut member = TcpStream::connect(&shared.member).await?;
    client.set_nodelay(true)?;
    member.set_nodelay(true)?;
    loop {
        let request = message(&mut client).await?;
        let command = command(&request);
        let answer = command.as_ref().and_then(|command| {
            shared.asked.lock().unwrap().push(command.clone());
            let answer = Arc::clone(&shared.answer.lock().unwrap());
            answer(command)
        });
        let reply = match answer {
            Some(mut answer) => {
                if answer.contains_key(CUT) {
                    return member.write_all(&request).await;
                }
                if let Some(first) = answer.remove(FIRST) {
                    member.write_all(&answered(&request, first.as_document().unwrap())).await?;
                    let done: Document =
                        bson::deserialize_from_slice(&message(&mut member).await?[HEADER + 5..]).unwrap();
                    assert_eq!(done.get_f64("ok").ok(), Some(1.0), "{done}");
                }
                answered(&request, &answer)
            }
            None => {
                member.write_all(&request).await?;
                let reply = message(&mut member).await?;
                match is_hello(&request, command.as_ref()) {
                    true if shared.is_router => patched(reply, &OF_A_MEMBER, Some("isdbgrid")),
                    true => patched(reply, &OF_A_CONNECTION, None),
                    false => reply,
                }
            }
        };
        client.write_all(&reply).await?;
    }
}

async fn message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    from.read_exact(&mut bytes).await?;
    let length = usize::try_from(int(&bytes, 0)).unwrap();
    bytes.resize(length, 0);
    from.read_exact(&mut bytes[4..]).await?;
    Ok(bytes)
}

fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The command of an `OP_MSG`, without what it writes.
fn command(message: &[u8]) -> Option<Document> {
    if int(message, 12) != OP_MSG {
        return None;
    }
    assert_eq!(int(message, HEADER) & 1, 0, "checksums are not spoken here");
    let mut at = HEADER + 4;
    // Sections of the kind 1 hold lists of documents.
    while message[at] != 0 {
        at += 1 + usize::try_from(int(message, at + 1)).unwrap();
    }
    let length = usize::try_from(int(message, at + 1)).unwrap();
    let raw = RawDocument::from_bytes(&message[at + 1..at + 1 + length]).unwrap();
    let mut command = Document::new();
    for element in raw.iter_elements() {
        let element = element.unwrap();
        let name = element.key().as_str();
        if !WRITTEN.contains(&name) {
            command.insert(name, bson::Bson::try_from(element.value().unwrap()).unwrap());
        }
    }
    Some(command)
}

fn is_hello(request: &[u8], command: Option<&Document>) -> bool {
    let name = command.and_then(|command| command.keys().next());
    int(request, 12) == OP_QUERY || name.is_some_and(|name| ["hello", "isMaster", "ismaster"].contains(&name.as_str()))
}

/// A message that answers `request`, or one that goes before it.
fn answered(request: &[u8], answer: &Document) -> Vec<u8> {
    let document = bson::serialize_to_vec(answer).unwrap();
    let mut reply = vec![0; 4];
    reply.extend_from_slice(&1_i32.to_le_bytes());
    reply.extend_from_slice(&request[4..8]);
    reply.extend_from_slice(&OP_MSG.to_le_bytes());
    reply.extend_from_slice(&[0; 5]);
    reply.extend_from_slice(&document);
    with_length(reply)
}

/// What a member says of itself, without some of it, and with a message.
fn patched(reply: Vec<u8>, without: &[&str], message: Option<&str>) -> Vec<u8> {
    let at = if int(&reply, 12) == OP_REPLY { HEADER + OF_REPLY } else { HEADER + 5 };
    let mut hello: Document = bson::deserialize_from_slice(&reply[at..]).unwrap();
    for name in without {
        hello.remove(name);
    }
    hello.extend(message.map(|message| ("msg".to_owned(), message.into())));
    let mut patched = reply[..at].to_vec();
    patched.extend(bson::serialize_to_vec(&hello).unwrap());
    with_length(patched)
}

fn with_length(mut message: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(message.len()).unwrap();
    message[..4].copy_from_slice(&length.to_le_bytes());
    message
}

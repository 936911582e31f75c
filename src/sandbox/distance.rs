//! A member as if it were far away: whatever is sent to it arrives late.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, copy_buf},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use super::ReplicaSet;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are sent on at once.
const CHUNK: usize = 256 * 1024;
/// Chunks that may be on their way at once; whoever sends more waits, as for any window.
const ON_THE_WAY: usize = 64;
/// How long it is waited before another connection is taken when one could not be.
const PAUSE: Duration = Duration::from_millis(10);

/// A member of a set, and the way to it. When it is dropped, the way is closed to newcomers.
#[derive(Debug)]
pub struct Distance {
    uri: String,
    listening: JoinHandle<()>,
}

impl Distance {
    /// A way to the first member that takes so long, there and back.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(set: &ReplicaSet, round_trip: Duration) -> Result<Self> {
        let io = |error: std::io::Error| Error::new(ErrorKind::Io, format!("no port to listen at: {error}"));
        let uri = set.member_uri(0)?;
        let member = set.member_address(0)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        let uri = uri.replacen(&member, &address.to_string(), 1);
        let listening = tokio::spawn(async move {
            loop {
                // A connection that is gone before it is taken is none; another one comes.
                let Ok((client, _)) = listener.accept().await else {
                    sleep(PAUSE).await;
                    continue;
                };
                let member = member.clone();
                // A connection ends when one of its ends does, whichever and however.
                tokio::spawn(async move { drop(carry(client, &member, round_trip).await) });
            }
        });
        Ok(Distance { uri, listening })
    }

    /// The connection string.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Carries what both ends of a connection say: there late, back at once.
async fn carry(client: TcpStream, member: &str, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(member).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_server, to_server), (from_client, mut to_client)) = (server.into_split(), client.into_split());
    let mut from_server = BufReader::with_capacity(CHUNK, from_server);
    tokio::select! {
        there = carry_late(from_client, to_server, delay) => there,
        back = copy_buf(&mut from_server, &mut to_client) => back.map(drop),
    }
}

/// However much is on its way, each byte takes as long.
async fn carry_late(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) -> std::io::Result<()> {
    let (sender, mut on_its_way) = mpsc::channel(ON_THE_WAY);
    let leave = async move {
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = from.read(&mut chunk).await?;
            let late = (Instant::now() + delay, chunk[..length].to_vec());
            if length == 0 || sender.send(late).await.is_err() {
                return Ok(());
            }
        }
    };
    let arrive = async {
        while let Some((at, chunk)) = on_its_way.recv().await {
            // A sleep takes a moment even if it is over.
            if at > Instant::now() {
                sleep_until(at).await;
            }
            to.write_all(&chunk).await?;
        }
        Ok(())
    };
    tokio::try_join!(leave, arrive).map(drop)
}

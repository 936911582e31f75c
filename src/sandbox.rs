//! Throwaway MongoDB replica sets on this machine, for tests, `bench` and `demo`.
//!
//! Only a real server decides what a change stream, an index build or a failover does, so nothing here imitates one.
//! A [`ServerBinary`] is found or fetched once for a machine; a [`ReplicaSet`] runs it on free ports of 127.0.0.1 with
//! its data in a temporary directory, and both are gone when it is dropped. When the whole process is killed, the
//! kernel kills the servers (Linux with util-linux's `setpriv`), and the next sandbox removes what they left on disk.

mod directory;
mod distance;
mod member;
mod observer;
mod options;
mod process;
mod release;
mod replica_set;
mod server_binary;
mod startup;
mod wheel;

pub(crate) use directory::Directory;
pub use distance::Distance;
pub use options::{ReplicaSetOptions, RootUser};
pub(crate) use process::tied;
pub use release::Release;
pub use replica_set::ReplicaSet;
pub use server_binary::ServerBinary;

/// Where a sandbox says that something is going to take a while, such as a download; the library itself never prints.
pub type Notice<'a> = &'a (dyn Fn(&str) + Sync);

/// The last lines of a tool's output, indented to stand under an error message.
fn last_lines<'a>(lines: impl DoubleEndedIterator<Item = &'a str>, count: usize) -> String {
    const WIDTH: usize = 400;
    let mut kept: Vec<String> = lines
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(count)
        .map(|line| format!("\n  {}", line.chars().take(WIDTH).collect::<String>()))
        .collect();
    kept.reverse();
    kept.concat()
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines_are_kept_in_order_without_blank_ones() {
        assert_eq!(last_lines("one\ntwo\n\nthree\n \n".lines(), 2), "\n  two\n  three");
        assert_eq!(last_lines("".lines(), 2), "");
    }
}

//! A process that writes a log is killed, for real, while another one reads it.

use std::{
    env,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::*;

/// Names the log to the process that is to be killed.
const DIRECTORY: &str = "TRANSLOAD_TEST_LOG";

/// The process that is killed: goes on with the log for as long as it lives.
#[test]
#[ignore = "a process to be killed, which asserts nothing; `cargo test --lib a_log_whose_writer_is_killed` runs it"]
fn write_until_killed() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let options = LogOptions { segment_bytes: 20_000, ..SMALL };
    let (mut writer, from) = LogWriter::resume(Path::new(&directory), options).unwrap();
    let mut next = if from.time == 0 { 0 } else { from.time as i32 + 1 };
    loop {
        fill(&mut writer, next..next + 10).unwrap();
        next += 10;
        // Some of the time it is killed between these.
        writer.append("shop.orders", &event(next), false).unwrap();
        writer.flush().unwrap();
        drop(writer);
        (writer, _) = LogWriter::resume(Path::new(&directory), options).unwrap();
    }
}

#[test]
fn a_log_whose_writer_is_killed_again_and_again_has_every_event_once() {
    let folder = tempfile::tempdir().unwrap();
    drop(LogWriter::create(folder.path(), &position(0), SMALL).unwrap());
    let mut reader = LogReader::open(folder.path()).unwrap();
    let mut items = Vec::new();
    for round in 0..8 {
        let name = "changes::log::tests::killed::write_until_killed";
        let mut child = Command::new(env::current_exe().unwrap())
            .args([name, "--exact", "--ignored"])
            .env(DIRECTORY, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // It is killed at no particular moment, but not before it has done something.
        let wanted = items.len() + 20 + round;
        while items.len() < wanted {
            thread::sleep(Duration::from_millis(3));
            items.extend(drain(&mut reader).unwrap());
            assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (mut writer, from) = LogWriter::resume(folder.path(), SMALL).unwrap();
    let next = if from.time == 0 { 0 } else { from.time as i32 + 1 };
    fill(&mut writer, next..next + 10).unwrap();
    items.extend(drain(&mut reader).unwrap());
    assert_eq!(all(&items), (0..next + 10).collect::<Vec<_>>());
    assert_eq!(items, read(folder.path()).unwrap());
}

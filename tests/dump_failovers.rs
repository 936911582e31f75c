//! Dumps whose server steps down or dies in the middle, and that lose nothing.

use std::time::Duration;

use bson::doc;
use transload::sandbox::Release;

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole},
    dump_faults::{MANY, fill},
    held_reads::{HeldReads, Hold},
    servers::{own, shared, three_members, three_members_of},
};

/// Restores elsewhere, and compares.
async fn assert_restores_equal(archive: &Archive, source: &Side<'_>) {
    let target = Side::new(shared(Release::V6_0_5).await, source.database);
    target.run(doc! { "dropDatabase": 1 }).await;
    assert_whole(&archive.restore(&target).await.unwrap());
    assert_equal(source, &target).await;
}

/// A cursor outlives a step-down.
#[tokio::test]
async fn a_dump_goes_on_after_its_only_member_stepped_down() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "stepped_down");
    fill(&source, "many").await;
    let reads = HeldReads::of(&source).await;
    let archive = Archive::new();
    let (dumped, ()) = tokio::join!(archive.dump(&source), async {
        reads.begun(2).await;
        set.step_down().await.unwrap();
        reads.release().await;
    });
    dumped.unwrap();
    assert_restores_equal(&archive, &source).await;
}

/// Also without the cursor, which the one that stepped down would still serve.
#[tokio::test]
async fn a_dump_goes_on_with_another_member_when_one_steps_down() {
    let set = three_members().await;
    let source = Side::new(&set, "another_member");
    fill(&source, "many").await;
    let first = set.primary().await.unwrap();
    // An election takes its time: six reads last longer.
    let reads = HeldReads::new(&set, source.database, 1000, Hold::For(Duration::from_secs(4))).await;
    let archive = Archive::new();
    let (dumped, ()) = tokio::join!(archive.dump(&source), async {
        reads.begun(1).await;
        set.step_down().await.unwrap();
        assert_ne!(set.primary().await.unwrap(), first);
        assert_eq!(reads.kill_cursors(source.database, "many").await, 1, "the dump was not in the middle");
        reads.release().await;
    });
    assert!(dumped.unwrap().retries > 0);
    assert_restores_equal(&archive, &source).await;
}

#[tokio::test]
async fn a_dump_goes_on_with_another_member_when_one_dies() {
    let set = three_members().await;
    let source = Side::new(&set, "killed_member");
    fill(&source, "many").await;
    let reads = HeldReads::of(&source).await;
    let archive = Archive::new();
    let (dumped, ()) = tokio::join!(archive.dump(&source), async {
        reads.begun(2).await;
        set.kill(set.primary().await.unwrap()).unwrap();
    });
    assert!(dumped.unwrap().retries > 0);
    assert_restores_equal(&archive, &source).await;
}

#[tokio::test]
async fn a_dump_goes_on_after_its_sessions_were_killed() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "killed_sessions");
    fill(&source, "many").await;
    let reads = HeldReads::of(&source).await;
    let archive = Archive::new();
    let (dumped, ()) = tokio::join!(archive.dump(&source), async {
        reads.begun(2).await;
        set.client().await.unwrap().database("admin").run_command(doc! { "killAllSessions": [] }).await.unwrap();
    });
    let dumped = dumped.unwrap();
    assert!(dumped.retries > 0);
    assert_eq!(dumped.documents, MANY as u64);
}

/// A write that goes with its primary was never there: no change stream tells of it, nor that it is gone.
#[tokio::test]
async fn what_a_primary_alone_has_is_not_read() {
    for release in [Release::V4_2_6, Release::V6_0_5] {
        let set = three_members_of(release).await;
        let source = Side::new(&set, "rolled_back");
        fill(&source, "many").await;
        let first = set.primary().await.unwrap();
        let others = (0..set.members()).filter(|member| *member != first);
        let hold = async |mode: &str| {
            for member in others.clone() {
                let admin = set.member_client(member).await.unwrap().database("admin");
                admin.run_command(doc! { "configureFailPoint": "stopReplProducer", "mode": mode }).await.unwrap();
            }
        };
        hold("alwaysOn").await;
        let alone = doc! { "insert": "many", "documents": [{ "_id": "alone" }], "writeConcern": { "w": 1 } };
        source.run(alone).await;
        let archive = Archive::new();
        let (dumped, ()) = tokio::join!(archive.dump(&source), async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(!archive.path().exists(), "{release}: it was read");
            set.kill(first).unwrap();
            hold("off").await;
        });
        assert_eq!(dumped.unwrap().documents, u64::try_from(MANY).unwrap(), "{release}");
        set.restart(first).await.unwrap();
        assert_restores_equal(&archive, &source).await;
    }
}

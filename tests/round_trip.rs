//! Ordinary data, there and back again, between all releases.

use transload::{
    sandbox::Release,
    shop::{self, Shop},
};
use transload_format::Codec;

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole, copy},
    servers::shared,
};

async fn fill(side: &Side<'_>) {
    shop::load(&side.server().await, side.database, &Shop { seed: 7, scale: 0.02 }).await.unwrap();
}

#[tokio::test]
async fn the_shop_is_the_same_after_each_codec() {
    let set = shared(Release::V6_0_5).await;
    let source = Side::new(set, "each_codec");
    fill(&source).await;
    for (codec, name) in [
        (Codec::None, "each_codec_none"),
        (Codec::Deflate(6), "each_codec_deflate"),
        (Codec::default(), "each_codec_zstd"),
    ] {
        let (archive, target) = (Archive::new(), Side::new(set, name));
        let mut options = archive.options();
        options.codec = codec;
        let dumped = archive.dump_as(&source, options).await.unwrap();
        assert_eq!((dumped.documents, dumped.retries), (26_300, 0));
        let restored = archive.restore(&target).await.unwrap();
        assert_whole(&restored);
        assert_eq!(restored.inserted, 26_300);
        assert_equal(&source, &target).await;
    }
}

async fn from_release_to_release(from: Release, to: Release, database: &str) {
    let (source, target) = (Side::new(shared(from).await, database), Side::new(shared(to).await, database));
    fill(&source).await;
    copy(&source, &target).await;
}

#[tokio::test]
async fn the_shop_moves_from_4_2_to_6_0() {
    from_release_to_release(Release::V4_2_6, Release::V6_0_5, "from_4_2").await;
}

#[tokio::test]
async fn the_shop_moves_from_5_0_to_6_0() {
    from_release_to_release(Release::V5_0_4, Release::V6_0_27, "from_5_0").await;
}

#[tokio::test]
async fn the_shop_moves_from_6_0_to_4_2() {
    from_release_to_release(Release::V6_0_5, Release::V4_2_6, "back_to_4_2").await;
}

#[tokio::test]
async fn the_shop_moves_to_an_older_patch_release() {
    from_release_to_release(Release::V6_0_27, Release::V6_0_5, "to_an_older_patch").await;
}

//! The codecs of a block: none, deflate, zstd. Each block names its own, so one archive may mix them.

use std::{fmt, str::FromStr};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::{
    error::{Newer, Problem},
    limits::MAX_ZSTD_WINDOW,
    wire::{to_u64, to_usize},
};

/// How the bytes of a block are stored, as its header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CodecId {
    /// As they are.
    None = 0,
    /// One raw deflate stream (RFC 1951).
    Deflate = 1,
    /// One zstd frame (RFC 8878), without a dictionary.
    Zstd = 2,
}

impl TryFrom<u8> for CodecId {
    type Error = Newer;

    fn try_from(byte: u8) -> Result<Self, Newer> {
        match byte {
            0 => Ok(CodecId::None),
            1 => Ok(CodecId::Deflate),
            2 => Ok(CodecId::Zstd),
            other => Err(Newer::Codec(other)),
        }
    }
}

/// A codec and its level, as a writer chooses them: `none`, `deflate[:0-9]`, `zstd[:1-22]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// No compression.
    None,
    /// Deflate at a level from 0 to 9.
    Deflate(u8),
    /// Zstd at a level from 1 to 22.
    Zstd(u8),
}

impl Codec {
    const DEFLATE_LEVEL: u8 = 6;
    const ZSTD_LEVEL: u8 = 1;

    /// The codec without its level.
    pub fn id(self) -> CodecId {
        match self {
            Codec::None => CodecId::None,
            Codec::Deflate(_) => CodecId::Deflate,
            Codec::Zstd(_) => CodecId::Zstd,
        }
    }
}

impl Default for Codec {
    fn default() -> Self {
        Codec::Zstd(Self::ZSTD_LEVEL)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codec::None => f.write_str("none"),
            Codec::Deflate(level) => write!(f, "deflate:{level}"),
            Codec::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown codec '{text}': one of none, deflate[:0-9], zstd[:1-22]");
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u8>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (name, level) {
            ("none", None) => Ok(Codec::None),
            ("deflate", None) => Ok(Codec::Deflate(Self::DEFLATE_LEVEL)),
            ("deflate", Some(level @ 0..=9)) => Ok(Codec::Deflate(level)),
            ("zstd", None) => Ok(Codec::Zstd(Self::ZSTD_LEVEL)),
            ("zstd", Some(level @ 1..=22)) => Ok(Codec::Zstd(level)),
            _ => Err(unknown()),
        }
    }
}

/// Compresses blocks one after another, keeping the codec's working memory between them.
pub struct Compressor {
    codec: Codec,
    engine: Engine,
}

enum Engine {
    None,
    Deflate(Box<Compress>),
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Engine {
    fn of(codec: Codec) -> Self {
        match codec {
            Codec::None => Engine::None,
            Codec::Deflate(level) => {
                Engine::Deflate(Box::new(Compress::new(Compression::new(u32::from(level)), false)))
            }
            Codec::Zstd(level) => zstd::bulk::Compressor::new(i32::from(level))
                .map_or(Engine::None, |compressor| Engine::Zstd(Box::new(compressor))),
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compressor({})", self.codec)
    }
}

impl Compressor {
    /// A compressor for `codec`. Where the codec's memory cannot be had, blocks are stored as they are.
    pub fn new(codec: Codec) -> Self {
        Compressor { codec, engine: Engine::of(codec) }
    }

    /// The codec that it was made for.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The compressed bytes, or nothing if they would not be fewer.
    pub(crate) fn compress(&mut self, raw: &[u8]) -> Option<Vec<u8>> {
        // One byte less than the input is all the room there is: what does not fit does not shrink.
        let mut stored = vec![0; raw.len().checked_sub(1)?];
        let len = match &mut self.engine {
            Engine::None => None,
            Engine::Deflate(engine) => {
                engine.reset();
                let status = engine.compress(raw, &mut stored, FlushCompress::Finish);
                if !matches!(status, Ok(Status::StreamEnd)) {
                    // A stream that has found no room for its end is not forgotten by a reset (zlib-rs 0.6.8): at level 1 the
                    // next one would lack the header of its first block, or panic.
                    self.engine = Engine::of(self.codec);
                    return None;
                }
                usize::try_from(engine.total_out()).ok()
            }
            Engine::Zstd(engine) => engine.compress_to_buffer(raw, &mut stored).ok(),
        }?;
        stored.truncate(len);
        Some(stored)
    }
}

/// The raw bytes of a block. `raw_len` has passed a checksum and a limit.
pub(crate) fn decompress(codec: CodecId, stored: &[u8], raw_len: u32) -> Result<Vec<u8>, Problem> {
    const BROKEN: Problem = Problem::Invalid("the compressed bytes cannot be decompressed to the block's raw length");
    let len = to_usize(raw_len);
    // A spare byte lets a decoder reach the end of its stream, and shows a stream that holds too much.
    let mut raw = vec![0; len.saturating_add(1)];
    let found = match codec {
        CodecId::None => return if stored.len() == len { Ok(stored.to_vec()) } else { Err(BROKEN) },
        CodecId::Deflate => {
            let mut engine = Decompress::new(false);
            let status = engine.decompress(stored, &mut raw, FlushDecompress::Finish).map_err(|_| BROKEN)?;
            if status != Status::StreamEnd || engine.total_in() != to_u64(stored.len()) {
                return Err(BROKEN);
            }
            usize::try_from(engine.total_out()).map_err(|_| BROKEN)?
        }
        CodecId::Zstd if !is_one_frame(stored, raw_len) => return Err(BROKEN),
        CodecId::Zstd => zstd::bulk::decompress_to_buffer(stored, &mut raw).map_err(|_| BROKEN)?,
    };
    if found != len {
        return Err(BROKEN);
    }
    raw.truncate(len);
    Ok(raw)
}

/// Whether the bytes are exactly one zstd frame whose window other decoders would allow too. The library itself goes
/// on with further frames, passes over skippable ones, and needs no window when all bytes are at hand.
fn is_one_frame(stored: &[u8], raw_len: u32) -> bool {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, window, ..] = *stored else {
        return false;
    };
    // A frame of a single segment has no window descriptor: its window is its content.
    let window = match descriptor & 0x20 {
        0 => u64::from(window & 7).saturating_add(8) << u32::from(window >> 3).saturating_add(7),
        _ => u64::from(raw_len),
    };
    window <= MAX_ZSTD_WINDOW && zstd::zstd_safe::find_frame_compressed_size(stored) == Ok(stored.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_zstd_frame_with_a_window_within_the_limit_is_accepted() {
        let raw = [7; 2000];
        let frame = zstd::bulk::compress(&raw, 1).expect("compressed");
        assert_eq!(decompress(CodecId::Zstd, &frame, 2000).expect("one frame"), raw);
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9];
        let half = zstd::bulk::compress(&raw[..1000], 1).expect("compressed");
        // A window descriptor, no content size, and one block of 2000 times the same byte.
        let windowed = |window: u8| {
            [&[0x28, 0xb5, 0x2f, 0xfd, 0, window][..], &(2000_u32 << 3 | 3).to_le_bytes()[..3], &[7]].concat()
        };
        assert_eq!(decompress(CodecId::Zstd, &windowed(17 << 3), 2000).expect("128 MiB"), raw);
        for (wrong, bytes) in [
            ("two frames", [&half[..], &half].concat()),
            ("a skippable frame before", [&skippable[..], &frame].concat()),
            ("a skippable frame after", [&frame[..], &skippable].concat()),
            ("a byte after", [&frame[..], &[0]].concat()),
            ("cut", frame[..frame.len() - 1].to_vec()),
            ("a window of 144 MiB", windowed(17 << 3 | 1)),
        ] {
            assert!(decompress(CodecId::Zstd, &bytes, 2000).is_err(), "{wrong}");
        }
    }

    #[test]
    fn codecs_are_read_from_and_shown_as_text() {
        for (text, codec, shown) in [
            ("none", Codec::None, "none"),
            ("deflate", Codec::Deflate(6), "deflate:6"),
            ("deflate:0", Codec::Deflate(0), "deflate:0"),
            ("zstd", Codec::Zstd(1), "zstd:1"),
            ("zstd:22", Codec::Zstd(22), "zstd:22"),
        ] {
            assert_eq!(text.parse(), Ok(codec));
            assert_eq!(codec.to_string(), shown);
        }
        for text in ["", "gzip", "none:1", "zstd:0", "zstd:23", "deflate:10", "zstd:", "zstd:-1", "zstd:1:2"] {
            assert!(text.parse::<Codec>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        let raw: Vec<u8> = (0..100_000_u32).map(|i| (i % 97) as u8).collect();
        for codec in [Codec::Deflate(0), Codec::Deflate(1), Codec::Deflate(9), Codec::Zstd(1), Codec::Zstd(19)] {
            let mut compressor = Compressor::new(codec);
            for _ in 0..2 {
                let Some(stored) = compressor.compress(&raw) else {
                    assert_eq!(codec, Codec::Deflate(0), "only stored blocks of deflate do not shrink");
                    continue;
                };
                assert_eq!(decompress(codec.id(), &stored, 100_000).expect("whole"), raw, "{codec}");
                assert!(decompress(codec.id(), &stored, 99_999).is_err(), "{codec}: too much");
                assert!(decompress(codec.id(), &stored, 100_001).is_err(), "{codec}: too little");
            }
        }
    }

    #[test]
    fn what_did_not_shrink_leaves_nothing_behind_for_the_next_block() {
        let mut state = 1_u64;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[4]
        };
        let noise: Vec<u8> = (0..65 * 16_384).map(|_| noise()).collect();
        let raw: Vec<u8> = (0..100_000_u32).map(|i| (i % 97) as u8).collect();
        for codec in (1..=9).map(Codec::Deflate).chain([Codec::Zstd(1)]) {
            let mut compressor = Compressor::new(codec);
            for len in [1_000, 19 * 16_384, 31 * 16_384, noise.len()] {
                assert_eq!(compressor.compress(&noise[..len]), None, "{codec}");
                let stored = compressor.compress(&raw).expect("smaller");
                assert_eq!(decompress(codec.id(), &stored, 100_000).expect("whole"), raw, "{codec}");
            }
        }
    }

    #[test]
    fn bytes_that_do_not_shrink_are_not_compressed() {
        for codec in [Codec::None, Codec::Deflate(6), Codec::Zstd(1)] {
            assert_eq!(Compressor::new(codec).compress(&[]), None);
            assert_eq!(Compressor::new(codec).compress(b"abc"), None);
        }
    }
}

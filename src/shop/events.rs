//! An event of the shop's web site: many fields of mixed types at the top level, with a string id.

use super::{
    random::{Random, digits, hex},
    words::{CITIES, Sentence},
};
use crate::document::{RawBuilder, kind};

/// 2024-01-01, in milliseconds.
const FIRST: u64 = 1_704_067_200_000;

const TYPES: [&str; 8] = ["view", "search", "click", "add-to-cart", "remove-from-cart", "login", "checkout", "error"];
const LOCALES: [&str; 8] = ["en-GB", "de-DE", "fr-FR", "nl-NL", "it-IT", "sv-SE", "pl-PL", "tr-TR"];
const PATHS: [&str; 8] =
    ["/", "/search", "/products", "/cart", "/account/orders", "/help", "/products/reviews", "/checkout/payment"];
const REFERRERS: [&str; 5] = [
    "https://www.example.com/",
    "https://search.example/results?q=",
    "https://news.example.org/letter/",
    "https://social.example/t/",
    "https://ads.example.net/c/",
];
const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about)",
];

pub(super) fn fill(event: &mut RawBuilder, i: u64, random: &mut Random) {
    let milliseconds = FIRST + i * 700 + u64::from(random.below(700));
    event.string_of("_id", &[b"ev-", &digits::<12>(i)]);
    event.date("ts", i64::try_from(milliseconds).unwrap_or(i64::MAX));
    event.string("type", random.pick_early(&TYPES));

    event.string_of("session", &[&hex::<16>(random.next()), &hex::<16>(random.next())]);
    if random.chance(60) {
        event.int32("user", random.below(200_000) as i32);
    } else {
        event.append_element(kind::NULL, "user", b"");
    }
    let path = random.pick_early(&PATHS);
    event.string_of(
        "url",
        &[b"https://shop.example", path.as_bytes(), b"?p=", &digits::<6>(random.below(40_000).into())],
    );
    event.string_of("referrer", &[random.pick_early(&REFERRERS).as_bytes(), &hex::<6>(random.next())]);
    event.string("agent", random.pick_early(&AGENTS));
    let [a, b, c, ..] = random.next().to_le_bytes().map(|byte| digits::<3>(byte.into()));
    event.string_of("ip", &[b"10.", &a, b".", &b, b".", &c]);
    let (city, country) = random.pick(&CITIES);
    event.string("city", city);
    event.string("country", country);
    event.string("locale", random.pick_early(&LOCALES));
    event.double("duration", random.fraction() * 3000.0);
    event.double("score", random.fraction());
    event.int64("bytes", i64::from(random.below(2_000_000)));
    event.int32("status", random.pick_early(&[200, 200, 304, 302, 404, 500]));
    event.embed("geo", |geo| {
        geo.double("lat", 36.0 + random.fraction() * 25.0);
        geo.double("lon", random.fraction() * 40.0 - 9.0);
    });
    event.embed_array("tags", |tags| {
        for i in 0..random.below(4) {
            tags.string_of(digits::<1>(i.into()), Sentence::<1>::new(1, random).parts());
        }
    });
    event.string_of("message", Sentence::<139>::new(36 + random.below(34), random).parts());

    event.bool("mobile", random.chance(55));
    event.bool("bot", random.chance(4));
    event.bool("cached", random.chance(30));
    event.bool("consent", random.chance(80));
}

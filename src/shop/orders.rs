//! An order: small and nested, with an object id, decimals and an array of documents.

use super::{
    random::{Random, digits, hex},
    words::{CITIES, FIRST_NAMES, LAST_NAMES, STREETS, Sentence},
};
use crate::document::{RawBuilder, kind};

/// 2024-01-01, in seconds; an order follows every three seconds, so that the ids of a hundred million fit their 32
/// bits of time.
const FIRST: u64 = 1_704_067_200;
const BETWEEN: u64 = 3;

/// Streams of their own, the same for every seed: a customer or product is the same one in each order that names it.
const CUSTOMER_STREAM: u64 = u64::MAX;
const PRODUCT_STREAM: u64 = u64::MAX - 1;

/// The subtype of a UUID.
const UUID: u8 = 4;

const CUSTOMERS: u32 = 200_000;
const PRODUCTS: u32 = 40_000;

/// A status, and how many of a hundred orders have it.
const STATUSES: [(&str, u32); 5] =
    [("delivered", 70), ("shipped", 12), ("processing", 8), ("returned", 6), ("cancelled", 4)];

pub(super) fn fill(order: &mut RawBuilder, i: u64, random: &mut Random) {
    let seconds = FIRST + i * BETWEEN;
    let milliseconds = seconds * 1000 + u64::from(random.below(1000));
    order.append_element(kind::OBJECT_ID, "_id", &object_id(seconds, random));
    order.embed("customer", |customer| fill_customer(customer, random));
    order.embed("address", |address| fill_address(address, random));
    order.string("status", status(random));
    order.binary("payment", UUID, &random.bytes::<16>());
    order.date("created", i64::try_from(milliseconds).unwrap_or(i64::MAX));
    let items: u64 = random.pick(&[1, 1, 1, 1, 1, 1, 2, 2, 3, 5]);
    let mut cents = 0;
    order.embed_array("items", |array| {
        for i in 0..items {
            array.embed(digits::<1>(i), |item| cents += fill_item(item, random));
        }
    });
    // In another currency, so that not every double is a round number.
    order.double("total", cents as f64 / 100.0 * (0.5 + random.fraction()));
    order.double("weight", random.fraction() * 20.0);
    order.string_of("note", Sentence::<33>::new(random.below(18), random).parts());
}

/// Ascending, as the time makes them, and otherwise as of very many short-lived processes.
fn object_id(seconds: u64, random: &mut Random) -> [u8; 12] {
    let [.., t0, t1, t2, t3] = seconds.to_be_bytes();
    let [r0, r1, r2, r3, r4, r5, r6, r7] = random.bytes();
    [t0, t1, t2, t3, r0, r1, r2, r3, r4, r5, r6, r7]
}

fn fill_customer(customer: &mut RawBuilder, random: &mut Random) {
    let id = random.below(CUSTOMERS);
    let mut random = Random::new(0, CUSTOMER_STREAM, id.into());
    let (first, last) = (random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES));
    let domain = random.pick_early(&["example.com", "mail.example", "example.org", "post.example", "example.net"]);
    customer.int32("id", i32::try_from(id).unwrap_or(i32::MAX));
    customer.string_of("name", &[first.as_bytes(), b" ", last.as_bytes()]);
    let mailbox = hex::<8>(random.next());
    customer.string_of("email", &[first.as_bytes(), b".", &mailbox, b"@", domain.as_bytes()]);
}

fn fill_address(address: &mut RawBuilder, random: &mut Random) {
    let number = 1 + u64::from(random.below(180));
    let three = digits::<3>(number);
    let leading = three.iter().take(2).take_while(|digit| **digit == b'0').count();
    let street = random.pick(&STREETS);
    let (city, _) = random.pick(&CITIES);
    address.string_of("street", &[street.as_bytes(), b" ", three.get(leading..).unwrap_or_default()]);
    address.string("city", city);
    address.string("zip", digits::<5>(u64::from(random.below(90_000)) + 10_000));
}

fn status(random: &mut Random) -> &'static str {
    let mut left = random.below(100);
    for (status, share) in STATUSES {
        match left.checked_sub(share) {
            Some(rest) => left = rest,
            None => return status,
        }
    }
    "delivered"
}

/// Returns what the item costs, in cents.
fn fill_item(item: &mut RawBuilder, random: &mut Random) -> u64 {
    // Some products sell more than others.
    let end = 1 + random.below(PRODUCTS);
    let product = random.below(end);
    let quantity: u8 = random.pick(&[1, 1, 1, 2, 3]);
    let mut product = Random::new(0, PRODUCT_STREAM, product.into());
    let price = u64::from(product.below(200)) * 100 + product.pick(&[99, 95, 90, 49]);
    item.string("sku", hex::<10>(product.next()));
    item.int32("quantity", quantity.into());
    item.append_element(kind::DECIMAL128, "price", &decimal_cents(price));
    price * u64::from(quantity)
}

/// Decimal128 with two digits after the point.
fn decimal_cents(cents: u64) -> [u8; 16] {
    const EXPONENT: u64 = (6176 - 2) << 49;
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(cents.to_le_bytes().into_iter().chain(EXPONENT.to_le_bytes())) {
        *byte = from;
    }
    bytes
}

//! The vocabulary of the shop.
//!
//! As large as it is so that what is made of it compresses as real records do, neither like noise nor like a template.
//! The lists are kept from rustfmt, which would give each word a line.

use super::random::Random;

#[rustfmt::skip]
pub(super) const FIRST_NAMES: [&str; 64] = [
    "Ada", "Agnes", "Ahmed", "Aiko", "Alan", "Amina", "Anders", "Anna", "Barbara", "Bjarne", "Carlos", "Chen", "Clara",
    "Daniel", "Dennis", "Donald", "Edsger", "Elena", "Emeka", "Emma", "Erik", "Fatima", "Felix", "Frances", "Giulia",
    "Grace", "Hana", "Hedy", "Hugo", "Ingrid", "Isabel", "Ivan", "James", "Jamal", "Jean", "Johanna", "Karen",
    "Kateryna", "Ken", "Lars", "Leila", "Linus", "Lucia", "Maria", "Margaret", "Mateo", "Mei", "Mohammed", "Nadia",
    "Niklaus", "Olga", "Omar", "Pavel", "Priya", "Radia", "Rosa", "Samuel", "Sofia", "Tariq", "Tim", "Ursula", "Wei",
    "Yukihiro", "Zeynep",
];

#[rustfmt::skip]
pub(super) const LAST_NAMES: [&str; 64] = [
    "Adeyemi", "Allen", "Andersson", "Bauer", "Becker", "Bianchi", "Borg", "Brown", "Castro", "Chang", "Costa",
    "Dijkstra", "Dubois", "Eriksen", "Fernandez", "Fischer", "Garcia", "Goldberg", "Gupta", "Hamilton", "Hansen",
    "Hoffmann", "Hopper", "Ivanova", "Jansen", "Johnson", "Kaya", "Keller", "Kim", "Knuth", "Kowalski", "Lamarr",
    "Larsen", "Lee", "Liskov", "Lovelace", "Martin", "Meyer", "Moreau", "Müller", "Nakamura", "Nguyen", "Novak",
    "Okafor", "Oliveira", "Perlman", "Petrov", "Ritchie", "Rossi", "Sato", "Schmidt", "Silva", "Singh", "Smith",
    "Svensson", "Tanaka", "Thompson", "Torvalds", "Turing", "Virtanen", "Wagner", "Wirth", "Yilmaz", "Zhang",
];

/// A city and the code of its country.
#[rustfmt::skip]
pub(super) const CITIES: [(&str, &str); 32] = [
    ("Amsterdam", "NL"), ("Antwerp", "BE"), ("Athens", "GR"), ("Barcelona", "ES"), ("Bergen", "NO"), ("Berlin", "DE"),
    ("Bologna", "IT"), ("Bristol", "GB"), ("Copenhagen", "DK"), ("Dublin", "IE"), ("Genoa", "IT"), ("Ghent", "BE"),
    ("Graz", "AT"), ("Hamburg", "DE"), ("Helsinki", "FI"), ("Istanbul", "TR"), ("Kraków", "PL"), ("Lisbon", "PT"),
    ("Ljubljana", "SI"), ("Lyon", "FR"), ("Malmö", "SE"), ("Marseille", "FR"), ("Munich", "DE"), ("Oslo", "NO"),
    ("Porto", "PT"), ("Prague", "CZ"), ("Riga", "LV"), ("Rotterdam", "NL"), ("Tallinn", "EE"), ("Turin", "IT"),
    ("Vienna", "AT"), ("Zürich", "CH"),
];

#[rustfmt::skip]
pub(super) const STREETS: [&str; 32] = [
    "Abbey Road", "Acacia Avenue", "Bridge Street", "Canal Street", "Castle Hill", "Cedar Lane", "Chapel Street",
    "Church Road", "Dock Road", "Elm Grove", "Factory Lane", "Garden Street", "Green Lane", "Harbour Street",
    "High Street", "Hill Road", "King Street", "Lake View", "Library Square", "Linden Avenue", "Long Lane",
    "Maple Street", "Market Square", "Mill Road", "North Street", "Orchard Way", "Park Avenue", "Queen Street",
    "River Walk", "School Lane", "Station Road", "Tower Street",
];

#[rustfmt::skip]
pub(super) const WORDS: [&str; 128] = [
    "the", "to", "and", "a", "of", "in", "is", "for", "please", "with", "on", "it", "not", "order", "was", "be", "at",
    "delivery", "customer", "by", "from", "door", "leave", "call", "before", "after", "gift", "wrapped", "box", "ring",
    "bell", "twice", "neighbour", "reception", "second", "floor", "garden", "gate", "code", "invoice", "company",
    "address", "return", "label", "missing", "item", "replaced", "refund", "pending", "checked", "stock", "warehouse",
    "courier", "delayed", "weather", "strike", "holiday", "weekend", "morning", "evening", "afternoon", "fragile",
    "glass", "handle", "care", "birthday", "card", "message", "happy", "thank", "you", "best", "wishes", "family",
    "large", "small", "medium", "blue", "green", "red", "black", "white", "wooden", "steel", "cotton", "leather",
    "ceramic", "coffee", "table", "chair", "lamp", "kettle", "bicycle", "helmet", "jacket", "boots", "notebook",
    "pencil", "paper", "umbrella", "backpack", "bottle", "blanket", "pillow", "mirror", "clock", "camera", "tripod",
    "speaker", "cable", "charger", "battery", "keyboard", "monitor", "printer", "scanner", "router", "adapter",
    "quantity", "changed", "discount", "voucher", "expired", "applied", "loyalty", "points", "newsletter", "subscribed",
];

/// As many words as wanted, up to `MOST`, with blanks between: the parts of one string.
pub(super) struct Sentence<const MOST: usize>([&'static [u8]; MOST]);

impl<const MOST: usize> Sentence<MOST> {
    pub(super) fn new(words: u32, random: &mut Random) -> Self {
        let mut parts: [&'static [u8]; MOST] = [b""; MOST];
        // Every other part is a blank.
        for (i, part) in parts.iter_mut().take((words as usize * 2).saturating_sub(1)).enumerate() {
            *part = if i % 2 == 0 { random.pick(&WORDS).as_bytes() } else { b" " };
        }
        Sentence(parts)
    }

    pub(super) fn parts(&self) -> &[&'static [u8]] {
        &self.0
    }
}

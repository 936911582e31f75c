//! Records, what they are about, and where they may stand.

use transload_format::limits::{MAX_INDEX_SPECS, MAX_NAMESPACE_LEN};

use super::{after_sealing, changed, damaged, documents_changed, followed_by, inserted, sealed};
use crate::{
    forge::{
        BEGUN, Block, COLLECTION, DOCUMENTS, FOOTER, INDEX, NAMESPACE, PART, begun, checkpoint, collection,
        namespace_finished, origin, part_finished, put32, sound,
    },
    samples::EMPTY,
    vectors::Vector,
};

/// The fields of records; those of the collection are its name at 4, type at 8, UUID at 9, options at 13, specs at 22.
pub(super) fn fields() -> Vec<Vector> {
    let edited = |number, change: &dyn Fn(&mut Vec<u8>)| changed(number, |block| block.edit(change));
    let two = [EMPTY, EMPTY].concat();
    let (ends, left_over) = ("it ends inside a field", "bytes are left over");
    vec![
        damaged(
            "record-missing",
            "a record without its last byte",
            ends,
            edited(BEGUN, &|raw| raw.truncate(raw.len() - 1)),
        ),
        damaged("record-trailing", "a byte after the fields of a record", left_over, edited(BEGUN, &|raw| raw.push(0))),
        damaged("record-empty", "a record without bytes", ends, edited(NAMESPACE, &Vec::clear)),
        damaged(
            "field-length",
            "a length behind the end of the record",
            ends,
            edited(COLLECTION, &|raw| raw[3] = 0xff),
        ),
        damaged("origin-text", "a text that is not UTF-8", "not UTF-8", {
            let mut body = origin();
            body[4] = 0xff;
            inserted(0, Block::skippable(1, 0, 0, &body))
        }),
        damaged("type-0", "a collection of type 0", "the type of a collection", edited(COLLECTION, &|raw| raw[8] = 0)),
        damaged("type-4", "a collection of type 4", "the type of a collection", edited(COLLECTION, &|raw| raw[8] = 4)),
        damaged("uuid-15", "a UUID of 15 bytes", "a UUID has not 16 bytes", {
            edited(COLLECTION, &|raw| drop(raw.splice(9..13, [&[15, 0, 0, 0][..], &[7; 15]].concat())))
        }),
        damaged("no-options", "options of no bytes", "not exactly one document", {
            edited(COLLECTION, &|raw| drop(raw.splice(13..22, [0; 4])))
        }),
        damaged("index-specs-limit", "index specs above the limit", "the number of index specs is 1025", {
            edited(COLLECTION, &|raw| {
                put32(raw, 22, MAX_INDEX_SPECS + 1);
                raw.extend([&[5, 0, 0, 0][..], &EMPTY].concat().repeat(MAX_INDEX_SPECS as usize + 1));
            })
        }),
        damaged("index-specs-missing", "an index spec is missing", ends, edited(COLLECTION, &|raw| raw[22] = 1)),
        damaged("bound", "a bound of two documents", "not exactly one document", {
            changed(BEGUN, |block| block.edit(|raw| *raw = begun(&two, &[], 5)))
        }),
    ]
}

pub(super) fn names() -> Vec<Vector> {
    let named = |name: &[u8]| changed(COLLECTION, |block| block.edit(|raw| *raw = collection(name, 1)));
    let (no_namespace, nul) = ("a namespace is not database.collection", "a namespace contains a NUL");
    let long = [&b"db."[..], &[b'c'; MAX_NAMESPACE_LEN - 2]].concat();
    vec![
        damaged("name-utf8", "a name that is not UTF-8", "not UTF-8", named(b"db.\xff")),
        damaged("name-no-dot", "a name without a dot", no_namespace, named(b"db")),
        damaged("name-no-database", "a name that begins with a dot", no_namespace, named(b".c")),
        damaged("name-no-collection", "a name that ends with its first dot", no_namespace, named(b"db.")),
        damaged("name-nul", "a name with a NUL", nul, named(b"db.c\0")),
        damaged("name-limit", "a name of 1025 bytes", "the length of the namespace is 1025", named(&long)),
        damaged("name-twice", "a name that stands for two namespaces", "a namespace is announced twice", {
            followed_by(vec![
                Block::record(2, 2, 0, &collection(b"db.c", 1)),
                Block::record(5, 2, 0, &namespace_finished(0, &[])),
            ])
        }),
    ]
}

pub(super) fn parts() -> Vec<Vector> {
    let one = || Block::documents(1, 1, &[&EMPTY]);
    let first_part = |body: Vec<u8>| changed(PART, |block| block.edit(|raw| *raw = body));
    let of_documents = &sound()[DOCUMENTS..PART];
    let total = |field: usize| changed(PART, |block| block.edit(|raw| raw[8 + 8 * field] ^= 1));
    vec![
        damaged("unknown-part", "documents of a part that was not begun", "a part that was not begun", {
            documents_changed(|block| block.part = 2)
        }),
        damaged(
            "no-part",
            "documents of no part",
            "a part that was not begun",
            documents_changed(|block| block.part = 0),
        ),
        damaged("part-2-first", "a first part with the number 2", "the number of a new part", {
            changed(BEGUN, |block| block.part = 2)
        }),
        damaged(
            "part-twice",
            "a part begins twice",
            "the number of a new part",
            inserted(PART, sound().swap_remove(BEGUN)),
        ),
        damaged("part-before-namespace", "a part begins before its namespace", "was not announced", {
            let mut blocks = sound();
            blocks.swap(COLLECTION, BEGUN);
            sealed(blocks)
        }),
        damaged("documents-before-part", "documents before their part", "a part that was not begun", {
            let mut blocks = sound();
            blocks.swap(BEGUN, DOCUMENTS);
            sealed(blocks)
        }),
        damaged("documents-after-part", "documents of a finished part", "part is finished already", {
            inserted(NAMESPACE, one())
        }),
        damaged("part-finished-twice", "a part is finished twice", "part is finished already", {
            inserted(NAMESPACE, sound().swap_remove(PART))
        }),
        damaged("part-total-blocks", "a wrong number of blocks of a part", "the number of blocks", total(0)),
        damaged("part-total-documents", "a wrong number of documents of a part", "the number of documents", total(1)),
        damaged("part-total-bytes", "a wrong number of bytes of a part", "the number of bytes", total(2)),
        damaged("part-total-digest", "a wrong digest of a part", "the digest", total(3)),
        damaged("high-below-low", "a part that ends before it begins", "before that of its begin", {
            first_part(part_finished(4, of_documents))
        }),
    ]
}

pub(super) fn namespaces() -> Vec<Vector> {
    let total = |field: usize| changed(NAMESPACE, |block| block.edit(|raw| raw[4 + 8 * field] ^= 1));
    let second = |kind: u8, inner: Vec<Block>, parts: u32| {
        let mut blocks = vec![Block::record(2, 2, 0, &collection(b"db.d", kind))];
        let finished = Block::record(5, 2, 0, &namespace_finished(parts, &inner));
        blocks.extend(inner);
        blocks.push(finished);
        followed_by(blocks)
    };
    let part = || vec![Block::record(3, 2, 1, &begun(&[], &[], 0)), Block::record(4, 2, 1, &part_finished(0, &[]))];
    let events = || vec![Block::events(2, &[&EMPTY])];
    let (both, view) = ("holds both parts and events", "a view holds neither parts nor events");
    vec![
        damaged("id-2-first", "a first namespace with the id 2", "the id of a new namespace", {
            changed(COLLECTION, |block| block.namespace = 2)
        }),
        damaged("id-again", "a second namespace with the id 1", "the id of a new namespace", {
            followed_by(vec![Block::record(2, 1, 0, &collection(b"db.d", 1))])
        }),
        damaged("unknown-namespace", "documents of a namespace without a record", "was not announced", {
            documents_changed(|block| block.namespace = 77)
        }),
        damaged("no-namespace", "documents of no namespace", "was not announced", {
            documents_changed(|block| block.namespace = 0)
        }),
        damaged("part-after-namespace", "a part of a finished namespace", "namespace is finished already", {
            followed_by(vec![Block::record(3, 1, 2, &begun(&[], &[], 0))])
        }),
        damaged("documents-after-namespace", "documents of a finished namespace", "namespace is finished already", {
            followed_by(vec![Block::documents(1, 1, &[&EMPTY])])
        }),
        damaged("events-after-namespace", "events of a finished namespace", "namespace is finished already", {
            let empty =
                [Block::record(2, 2, 0, &collection(b"db.d", 1)), Block::record(5, 2, 0, &namespace_finished(0, &[]))];
            followed_by([&empty[..], &[Block::events(2, &[&EMPTY])]].concat())
        }),
        damaged("namespace-finished-twice", "a namespace is finished twice", "namespace is finished already", {
            followed_by(vec![sound().swap_remove(NAMESPACE)])
        }),
        damaged("namespace-parts", "a wrong number of parts", "the number of parts", {
            changed(NAMESPACE, |block| block.edit(|raw| raw[0] = 2))
        }),
        damaged("namespace-total-blocks", "a wrong number of blocks of a namespace", "the number of blocks", total(0)),
        damaged("namespace-total-documents", "a wrong number of documents", "the number of documents", total(1)),
        damaged("namespace-total-bytes", "a wrong number of bytes of a namespace", "the number of bytes", total(2)),
        damaged("namespace-total-digest", "a wrong digest of a namespace", "the digest", total(3)),
        damaged("unfinished-part", "a namespace is finished before its part", "before all its parts", {
            let mut blocks = sound();
            blocks.remove(PART);
            sealed(blocks)
        }),
        damaged("unfinished-namespace", "an index before a namespace is finished", "before all its namespaces", {
            let mut blocks = sound();
            blocks.remove(NAMESPACE);
            sealed(blocks)
        }),
        damaged("view-part", "a part of a view", view, second(2, part(), 1)),
        damaged("view-events", "events of a view", view, second(2, events(), 0)),
        damaged("events-part", "events with a part", "the part of a block of events", {
            second(1, vec![Block { part: 1, ..events().remove(0) }], 0)
        }),
        damaged(
            "parts-then-events",
            "events in a namespace that has a part",
            both,
            second(1, [part(), events()].concat(), 1),
        ),
        damaged(
            "events-then-parts",
            "a part in a namespace that has events",
            both,
            second(1, [events(), part()].concat(), 1),
        ),
    ]
}

pub(super) fn subjects() -> Vec<Vector> {
    let inserted = |record, namespace, part, body: Vec<u8>| {
        inserted(DOCUMENTS, Block { flags: u8::from(record == 1), ..Block::record(record, namespace, part, &body) })
    };
    let no_part = "the part of a record about no part";
    vec![
        damaged("origin-late", "an origin that is not block 0", "the origin", inserted(1, 0, 0, origin())),
        damaged("origin-namespace", "an origin about a namespace", "the namespace of the origin", {
            sealed([vec![Block::skippable(1, 1, 0, &origin())], sound()].concat())
        }),
        damaged("collection-part", "a collection about a part", no_part, changed(COLLECTION, |block| block.part = 1)),
        damaged(
            "namespace-part",
            "a finished namespace about a part",
            no_part,
            changed(NAMESPACE, |block| block.part = 1),
        ),
        damaged("checkpoint-part", "a checkpoint about a part", no_part, inserted(6, 1, 1, checkpoint())),
        damaged(
            "checkpoint-nothing-part",
            "a checkpoint about a part of nothing",
            no_part,
            inserted(6, 0, 1, checkpoint()),
        ),
        damaged("checkpoint-namespace", "a checkpoint about an unknown namespace", "was not announced", {
            inserted(6, 2, 0, checkpoint())
        }),
        damaged("index-namespace", "an index about a namespace", "the namespace of the index", {
            after_sealing(INDEX, |block| block.namespace = 1)
        }),
        damaged("footer-part", "a footer about a part", "the part of the index or the footer", {
            after_sealing(FOOTER, |block| block.part = 1)
        }),
    ]
}

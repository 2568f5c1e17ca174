//! The command table: the rows of every file, findable by name and by number.

use std::sync::LazyLock;

use super::command::{Flags, Handler, Spec};
use super::{
    bitmaps, expire, generic, geo, hashes, http, hyperloglog, lists, rdb, server, session, sets,
    slots, sort, streams, strings, watch, zsets,
};

/// Where the rows are written down. A new data type adds its file here.
const ROWS: [&[Spec]; 18] = [
    strings::ROWS,
    generic::ROWS,
    sort::ROWS,
    rdb::ROWS,
    expire::ROWS,
    server::ROWS,
    session::ROWS,
    http::ROWS,
    slots::ROWS,
    watch::ROWS,
    hashes::ROWS,
    lists::ROWS,
    sets::ROWS,
    zsets::ROWS,
    streams::ROWS,
    bitmaps::ROWS,
    hyperloglog::ROWS,
    geo::ROWS,
];

/// Slots of the index by name: a power of two, several times the number of commands.
const SLOTS: usize = 1024;

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

struct Table {
    /// What clients may call, ordered by name.
    public: Vec<Spec>,
    /// What only frontends call.
    internal: Vec<Spec>,
    /// Open addressing by a hash of the name: the position in `public` plus one; zero is free.
    by_name: [u16; SLOTS],
    /// By number: whether in `internal`, and the position there.
    by_id: Vec<Option<(bool, usize)>>,
}

impl Table {
    fn new() -> Self {
        let rows = || ROWS.iter().flat_map(|rows| rows.iter().copied());
        let is_internal = |row: &Spec| row.flags.contains(Flags::INTERNAL);
        let mut public: Vec<Spec> = rows().filter(|row| !is_internal(row)).collect();
        public.sort_by_key(|row| row.name);
        let internal: Vec<Spec> = rows().filter(is_internal).collect();

        let mut by_name = [0; SLOTS];
        for (position, row) in public.iter().enumerate() {
            let mut slot = name_slot(row.name.as_bytes());
            while by_name[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            by_name[slot] = u16::try_from(position + 1).expect("there are few commands");
        }

        let mut by_id = Vec::new();
        for (in_internal, rows) in [(false, &public), (true, &internal)] {
            for (position, row) in rows.iter().enumerate() {
                if matches!(row.handler, Handler::Session) {
                    continue;
                }
                let id = usize::from(row.id);
                by_id.resize(by_id.len().max(id + 1), None);
                assert!(id != 0, "zero is no command's number: {}", row.name);
                assert!(by_id[id].is_none(), "a number belongs to one command: {}", row.name);
                by_id[id] = Some((in_internal, position));
            }
        }
        Self { public, internal, by_name, by_id }
    }
}

/// Returns the row of a command by its name, in any case. Internal commands have no name here.
#[must_use]
pub fn lookup(name: &[u8]) -> Option<&'static Spec> {
    let table = &*TABLE;
    let mut slot = name_slot(name);
    loop {
        let position = usize::from(table.by_name[slot]).checked_sub(1)?;
        let row = &table.public[position];
        if row.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(row);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Returns the row of a command of the keyspace by the number that the log knows it by.
#[must_use]
pub fn by_id(id: u16) -> Option<&'static Spec> {
    let table = &*TABLE;
    let (in_internal, position) = (*table.by_id.get(usize::from(id))?)?;
    let rows = if in_internal { &table.internal } else { &table.public };
    rows.get(position)
}

/// Returns all rows, ordered by name; internal commands are not among them.
#[must_use]
pub fn all() -> &'static [Spec] {
    &TABLE.public
}

/// Returns the row of an internal command by its exact name.
#[must_use]
pub fn internal(name: &str) -> Option<&'static Spec> {
    TABLE.internal.iter().find(|row| row.name == name)
}

/// Spreads names over the slots; letters count the same in either case.
fn name_slot(name: &[u8]) -> usize {
    let mut hash = name.len() as u32;
    for byte in name.iter().take(32) {
        hash = (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193);
    }
    (hash ^ (hash >> 15)) as usize % SLOTS
}

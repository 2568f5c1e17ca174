//! What is said of a command once and for all: flags, and the ACL categories that it is in.

/// Facts about a command that do not depend on its arguments; the names are Redis' (`COMMAND
/// INFO`).
///
/// Three kinds share the bits: flags, ACL categories that do not follow from a flag, and facts of
/// our own that no client is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Changes the keyspace.
    pub const WRITE: Self = Self(1 << 0);
    /// Reads the keyspace and changes nothing.
    pub const READONLY: Self = Self(1 << 1);
    /// May need more memory.
    pub const DENYOOM: Self = Self(1 << 2);
    /// For administrators.
    pub const ADMIN: Self = Self(1 << 3);
    /// Publishes or subscribes.
    pub const PUBSUB: Self = Self(1 << 4);
    /// Not from a script.
    pub const NOSCRIPT: Self = Self(1 << 5);
    /// May wait.
    pub const BLOCKING: Self = Self(1 << 6);
    /// Works while the node loads.
    pub const LOADING: Self = Self(1 << 7);
    /// Works on a replica that lost its master.
    pub const STALE: Self = Self(1 << 8);
    /// Not shown to monitors.
    pub const SKIP_MONITOR: Self = Self(1 << 9);
    /// Not in the log of slow commands.
    pub const SKIP_SLOWLOG: Self = Self(1 << 10);
    /// Takes constant or logarithmic time.
    pub const FAST: Self = Self(1 << 11);
    /// Needs no authentication.
    pub const NO_AUTH: Self = Self(1 << 12);
    /// Works while a script is busy.
    pub const ALLOW_BUSY: Self = Self(1 << 13);
    /// The keys cannot be found by first, last and step alone.
    pub const MOVABLEKEYS: Self = Self(1 << 14);

    /// ACL category `@keyspace`.
    pub const CAT_KEYSPACE: Self = Self(1 << 16);
    /// ACL category `@string`.
    pub const CAT_STRING: Self = Self(1 << 17);
    /// ACL category `@dangerous`, for commands without `ADMIN`.
    pub const CAT_DANGEROUS: Self = Self(1 << 18);
    /// ACL category `@connection`.
    pub const CAT_CONNECTION: Self = Self(1 << 19);
    /// ACL category `@scripting`.
    pub const CAT_SCRIPTING: Self = Self(1 << 20);
    /// ACL category `@set`.
    pub const CAT_SET: Self = Self(1 << 21);
    /// ACL category `@sortedset`.
    pub const CAT_SORTEDSET: Self = Self(1 << 22);
    /// ACL category `@list`.
    pub const CAT_LIST: Self = Self(1 << 23);
    /// ACL category `@hash`.
    pub const CAT_HASH: Self = Self(1 << 24);
    /// ACL category `@bitmap`.
    pub const CAT_BITMAP: Self = Self(1 << 25);
    /// ACL category `@hyperloglog`.
    pub const CAT_HYPERLOGLOG: Self = Self(1 << 26);
    /// ACL category `@geo`.
    pub const CAT_GEO: Self = Self(1 << 27);
    /// ACL category `@stream`.
    pub const CAT_STREAM: Self = Self(1 << 28);
    /// ACL category `@transaction`.
    pub const CAT_TRANSACTION: Self = Self(1 << 29);

    /// Called by a frontend, never by its name.
    pub const INTERNAL: Self = Self(1 << 30);
    /// May take long; see [`Spec::is_heavy`](super::command::Spec::is_heavy).
    pub const HEAVY: Self = Self(1 << 31);

    /// The flags that clients are shown, in Redis' order.
    const NAMES: [(Self, &'static str); 15] = [
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::PUBSUB, "pubsub"),
        (Self::NOSCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::SKIP_MONITOR, "skip_monitor"),
        (Self::SKIP_SLOWLOG, "skip_slowlog"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::ALLOW_BUSY, "allow_busy"),
        (Self::MOVABLEKEYS, "movablekeys"),
    ];

    /// The ACL categories that are one flag each, in Redis' order; those that follow from flags in
    /// another way stand behind the first [`Self::BEFORE_SPEED`].
    const CATEGORIES: [(Self, &'static str); 17] = [
        (Self::CAT_KEYSPACE, "@keyspace"),
        (Self::READONLY, "@read"),
        (Self::WRITE, "@write"),
        (Self::CAT_SET, "@set"),
        (Self::CAT_SORTEDSET, "@sortedset"),
        (Self::CAT_LIST, "@list"),
        (Self::CAT_HASH, "@hash"),
        (Self::CAT_STRING, "@string"),
        (Self::CAT_BITMAP, "@bitmap"),
        (Self::CAT_HYPERLOGLOG, "@hyperloglog"),
        (Self::CAT_GEO, "@geo"),
        (Self::CAT_STREAM, "@stream"),
        (Self::PUBSUB, "@pubsub"),
        (Self::ADMIN, "@admin"),
        (Self::CAT_CONNECTION, "@connection"),
        (Self::CAT_TRANSACTION, "@transaction"),
        (Self::CAT_SCRIPTING, "@scripting"),
    ];
    const BEFORE_SPEED: usize = 14;

    /// Returns both sets of flags together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the flags' names as `COMMAND INFO` shows them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
    }

    /// Returns the ACL categories, with their `@`, in Redis' order. Some follow from flags.
    pub fn categories(self) -> impl Iterator<Item = &'static str> {
        let names = |categories: &'static [(Self, &'static str)]| {
            let is_in = move |(flag, _): &&(Self, &str)| self.contains(*flag);
            categories.iter().filter(is_in).map(|(_, name)| *name)
        };
        let by_speed = if self.contains(Self::FAST) { "@fast" } else { "@slow" };
        let is_dangerous = self.contains(Self::ADMIN) || self.contains(Self::CAT_DANGEROUS);
        let risk = [(self.contains(Self::BLOCKING), "@blocking"), (is_dangerous, "@dangerous")];
        names(&Self::CATEGORIES[..Self::BEFORE_SPEED])
            .chain([by_speed])
            .chain(risk.into_iter().filter_map(|(is_in, name)| is_in.then_some(name)))
            .chain(names(&Self::CATEGORIES[Self::BEFORE_SPEED..]))
    }
}

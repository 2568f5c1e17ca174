//! CLIENT TRACKING, CACHING, TRACKINGINFO, GETREDIR: how a client asks to be told of changes to
//! what it has cached.

use bytes::Bytes;
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::Spec;
use raftkv_storage::keyspace::reply::until_nul;

use super::registry::Client;
use super::session::Session;
use super::tracking::{Mode, Rule};
use super::transaction::Transaction;
use super::{Server, errors, scanner};
use crate::Kv;

/// The most bytes of all prefixes of one client, with what each costs beside.
const PREFIX_BYTES_MAX: usize = 64 << 10;
const PREFIX_COST_BYTES: usize = 64;

/// Which of a connection's reads are remembered.
#[derive(Debug, Default)]
pub(super) struct Caching {
    /// `None` for no read at all.
    rule: Option<Rule>,
    /// Whether CLIENT CACHING was the last command.
    is_given: bool,
}

impl Caching {
    /// Returns whether the keys of this command are to be remembered; `None` is a command that does
    /// not exist.
    pub(super) fn next(&mut self, spec: Option<&Spec>, transaction: &Transaction) -> bool {
        let Some(rule) = self.rule else { return false };
        let is_given = self.is_given;
        // As in Redis, it lasts until a command that is not CLIENT; in a transaction, to its end.
        self.is_given &= spec.is_some_and(|spec| {
            matches!(spec.name, "client" | "multi") || transaction.queues(spec)
        });
        let is_wanted = match rule {
            Rule::All => true,
            Rule::OptIn => is_given,
            Rule::OptOut => !is_given,
        };
        is_wanted && spec.is_some_and(|spec| !spec.is_write() && !spec.is_session())
    }
}

/// Ends tracking for a client that wants no more of it.
pub(super) fn stop<K: Kv>(session: &mut Session, server: &Server<K>, client: &Client) {
    session.caching = Caching::default();
    server.tracking.stop(client.id);
}

/// CLIENT TRACKING ON|OFF [REDIRECT id] [BCAST] [PREFIX p ...] [OPTIN] [OPTOUT] [NOLOOP].
pub(super) fn tracking<K: Kv>(
    session: &mut Session,
    server: &Server<K>,
    client: &Client,
    args: &[&[u8]],
) -> Reply {
    let (switch, options) = (args[0], &args[1..]);
    let asked = match Asked::read(server, options) {
        Ok(asked) => asked,
        Err(error) => return error,
    };
    if switch.eq_ignore_ascii_case(b"on") {
        match mode(server.tracking.mode(client.id), &asked) {
            Ok(mode) => {
                session.caching.rule = Some(mode.rule).filter(|_| !mode.is_broadcast);
                server.tracking.start(client.id, mode);
                Reply::Ok
            }
            Err(error) => error,
        }
    } else if switch.eq_ignore_ascii_case(b"off") {
        stop(session, server, client);
        Reply::Ok
    } else {
        errors::syntax()
    }
}

/// The options of CLIENT TRACKING, not yet compared with each other.
#[derive(Debug, Default)]
struct Asked<'a> {
    redirect: u64,
    prefixes: Vec<&'a [u8]>,
    is_broadcast: bool,
    is_noloop: bool,
    opt_in: bool,
    opt_out: bool,
}

impl<'a> Asked<'a> {
    fn read<K: Kv>(server: &Server<K>, mut options: &[&'a [u8]]) -> Result<Self, Reply> {
        let mut asked = Self::default();
        while let [option, rest @ ..] = options {
            options = match (option.to_ascii_lowercase().as_slice(), rest) {
                (b"redirect", [_, ..]) if asked.redirect != 0 => {
                    let error = "ERR A client can only redirect to a single other client";
                    return Err(Reply::error(error));
                }
                (b"redirect", [id, rest @ ..]) => {
                    let id = scanner::integer(id).ok_or_else(errors::not_an_integer)?;
                    let there =
                        u64::try_from(id).ok().filter(|id| server.clients.find(*id).is_some());
                    asked.redirect = there.ok_or_else(|| {
                        Reply::error("ERR The client ID you want redirect to does not exist")
                    })?;
                    rest
                }
                (b"prefix", [prefix, rest @ ..]) => {
                    asked.prefixes.push(prefix);
                    rest
                }
                (b"bcast", rest) => {
                    asked.is_broadcast = true;
                    rest
                }
                (b"noloop", rest) => {
                    asked.is_noloop = true;
                    rest
                }
                (b"optin", rest) => {
                    asked.opt_in = true;
                    rest
                }
                (b"optout", rest) => {
                    asked.opt_out = true;
                    rest
                }
                _ => return Err(errors::syntax()),
            };
        }
        Ok(asked)
    }
}

/// Returns how a client is to track that has tracked like `before`, if at all.
fn mode(before: Option<Mode>, asked: &Asked<'_>) -> Result<Mode, Reply> {
    let refuse = |text: &'static str| Err(Reply::error(text));
    if !asked.is_broadcast && !asked.prefixes.is_empty() {
        return refuse("ERR PREFIX option requires BCAST mode to be enabled");
    }
    if before.as_ref().is_some_and(|before| before.is_broadcast != asked.is_broadcast) {
        return refuse(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        );
    }
    let rule = match (asked.opt_in, asked.opt_out) {
        (false, false) => Rule::All,
        _ if asked.is_broadcast => {
            return refuse("ERR OPTIN and OPTOUT are not compatible with BCAST");
        }
        (true, true) => return refuse("ERR You can't specify both OPTIN mode and OPTOUT mode"),
        (true, false) => Rule::OptIn,
        (false, true) => Rule::OptOut,
    };
    let old = before.as_ref().map_or(Rule::All, |before| before.rule);
    if old != Rule::All && rule != Rule::All && old != rule {
        return refuse(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        );
    }
    let mut prefixes = before.map(|before| before.prefixes).unwrap_or_default();
    if asked.is_broadcast {
        // Before they are compared, each with each: what may be kept is also what may be compared.
        let asked_bytes = asked.prefixes.iter().map(|prefix| prefix.len() + PREFIX_COST_BYTES);
        let bytes: usize =
            prefixes.iter().map(|prefix| prefix.len() + PREFIX_COST_BYTES).chain(asked_bytes).sum();
        if bytes > PREFIX_BYTES_MAX {
            return refuse("ERR The prefixes of this client take too much memory");
        }
        check_prefixes(&prefixes, &asked.prefixes)?;
        prefixes.extend(asked.prefixes.iter().map(|prefix| Bytes::copy_from_slice(prefix)));
        if asked.prefixes.is_empty() {
            prefixes.insert(Bytes::new());
        }
    }
    Ok(Mode {
        redirect: asked.redirect,
        is_broken: false,
        is_broadcast: asked.is_broadcast,
        prefixes,
        is_noloop: asked.is_noloop,
        rule,
    })
}

/// Refuses prefixes of which one begins with another: a key would be told twice.
fn check_prefixes<'a>(
    before: impl IntoIterator<Item = &'a Bytes> + Copy,
    asked: &[&[u8]],
) -> Result<(), Reply> {
    let overlaps = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    let refuse = |prefix: &[u8], what: &str, other: &[u8]| {
        let before = [b"ERR Prefix '", until_nul(prefix), b"' overlaps with "].concat();
        let between = [what.as_bytes(), b" prefix '", until_nul(other)].concat();
        let after = b"'. Prefixes for a single client must not overlap.";
        Err(Reply::Error([&before[..], &between, after].concat().into()))
    };
    for (at, prefix) in asked.iter().enumerate() {
        if let Some(other) = before.into_iter().find(|other| overlaps(prefix, other)) {
            return refuse(prefix, "an existing", other);
        }
        if let Some(other) = asked[at + 1..].iter().find(|other| overlaps(prefix, other)) {
            return refuse(prefix, "another provided", other);
        }
    }
    Ok(())
}

/// CLIENT CACHING YES|NO.
pub(super) fn caching<K: Kv>(
    session: &mut Session,
    server: &Server<K>,
    client: &Client,
    answer: &[u8],
) -> Reply {
    let Some(mode) = server.tracking.mode(client.id) else {
        return Reply::error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with \
             OPTIN or OPTOUT mode enabled",
        );
    };
    let is_yes = answer.eq_ignore_ascii_case(b"yes");
    if !is_yes && !answer.eq_ignore_ascii_case(b"no") {
        return errors::syntax();
    }
    match (is_yes, mode.rule) {
        (true, Rule::OptIn) | (false, Rule::OptOut) => {
            session.caching.is_given = true;
            Reply::Ok
        }
        (true, _) => Reply::error(
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ),
        (false, _) => Reply::error(
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        ),
    }
}

/// CLIENT TRACKINGINFO.
pub(super) fn info<K: Kv>(session: &Session, server: &Server<K>, client: &Client) -> Reply {
    let mode = server.tracking.mode(client.id);
    let mut flags = vec![if mode.is_some() { "on" } else { "off" }];
    if let Some(mode) = &mode {
        let is_given = session.caching.is_given;
        let (is_in, is_out) = (mode.rule == Rule::OptIn, mode.rule == Rule::OptOut);
        let all = [
            (mode.is_broadcast, "bcast"),
            (is_in, "optin"),
            (is_in && is_given, "caching-yes"),
            (is_out, "optout"),
            (is_out && is_given, "caching-no"),
            (mode.is_noloop, "noloop"),
            (mode.is_broken, "broken_redirect"),
        ];
        flags.extend(all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name));
    }
    let redirect = redirect(&mode);
    let prefixes = mode.map(|mode| mode.prefixes).unwrap_or_default();
    Reply::Map(vec![
        (Reply::bulk("flags"), Reply::Set(flags.into_iter().map(Reply::bulk).collect())),
        (Reply::bulk("redirect"), Reply::Integer(redirect)),
        (Reply::bulk("prefixes"), Reply::Array(prefixes.into_iter().map(Reply::Bulk).collect())),
    ])
}

/// Returns the client that is told in this one's place; zero for none, -1 if it does not track.
pub(super) fn redirect(mode: &Option<Mode>) -> i64 {
    mode.as_ref().map_or(-1, |mode| i64::try_from(mode.redirect).unwrap_or(i64::MAX))
}

/// Returns the letters by which CLIENT LIST shows it.
pub(super) fn letters(mode: &Option<Mode>) -> String {
    let Some(mode) = mode else { return String::new() };
    let all = [(true, 't'), (mode.is_broken, 'R'), (mode.is_broadcast, 'B')];
    all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| letter).collect()
}

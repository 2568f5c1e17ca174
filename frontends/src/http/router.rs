//! Which path leads where, and what holds for all of them.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::Batch;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use super::body::Budget;
use super::error::Failure;
use super::{Options, body, kv, status};
use crate::{Cluster, Kv, Member};

/// What every handler shares.
pub(super) struct App<K> {
    /// The store.
    pub(super) kv: K,
    /// The limits.
    pub(super) options: Options,
    /// The bytes of bodies that may be held.
    pub(super) budget: Budget,
    /// The requests for keys that may be under way.
    in_flight: Semaphore,
    /// Changes when the server stops.
    stopped: watch::Receiver<()>,
}

impl<K: Kv> App<K> {
    /// Carries out a batch of one command; an error points to the leader with the same request.
    pub(super) async fn execute(&self, batch: Batch, uri: &Uri) -> Result<Vec<Reply>, Failure> {
        let outcome = self.kv.execute(batch).await;
        outcome.map_err(|error| Failure::from_store(error, &self.kv.cluster().borrow(), uri))
    }

    /// Waits until the server stops.
    pub(super) async fn stopping(&self) {
        // Nothing is ever sent: that the sender has gone is the sign.
        let _ = self.stopped.clone().changed().await;
    }
}

/// The routes over a store, and the rules that hold for all of them. Those are called by name and
/// are no layers of the routes: each layer would box the request's future once more.
pub(super) struct Service<K> {
    app: Arc<App<K>>,
    routes: Router,
}

impl<K: Kv> Service<K> {
    /// Returns the routes without the limits that belong to connections. `stopped` tells when
    /// requests that have not arrived yet are waited for no more.
    pub(super) fn new(kv: K, options: &Options, stopped: watch::Receiver<()>) -> Self {
        let app = Arc::new(App {
            kv,
            stopped,
            budget: Budget::new(options.max_buffered_bytes.max(options.max_body_bytes())),
            in_flight: Semaphore::new(options.max_in_flight.min(Semaphore::MAX_PERMITS)),
            options: options.clone(),
        });
        let key = get(kv::get::<K>).put(kv::put::<K>).delete(kv::delete::<K>);
        // The probes are outside the limit: an operator must see a node that is busy.
        let routes = Router::new()
            .route("/kv", get(kv::list::<K>))
            .route("/kv/", key.clone())
            .route("/kv/{*key}", key)
            .route_layer(middleware::from_fn_with_state(Arc::clone(&app), admit::<K>))
            .route("/", get(index))
            .route("/status", get(status::status::<K>))
            .route("/livez", get(status::livez::<K>))
            .route("/readyz", get(status::readyz::<K>))
            .fallback(async || Failure::UnknownRoute)
            .method_not_allowed_fallback(async || Failure::Method)
            .with_state(Arc::clone(&app));
        Self { app, routes }
    }

    /// Answers a request, with what every response carries. One that leaves a body unread says that
    /// the connection ends, as it then must.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let is_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let watched = Arc::clone(&is_read);
        let request = request.map(|body| Body::new(Watched { body, is_read: watched }));
        let mut response = match check_host(&request, &self.app.kv) {
            Ok(()) => {
                let Ok(response) = self.routes.clone().oneshot(request).await;
                response
            }
            Err(failure) => failure.into_response(),
        };
        let headers = response.headers_mut();
        // The length comes last, wherever a response is made.
        let length = headers.remove(header::CONTENT_LENGTH);
        if !is_read.load(Ordering::Relaxed) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        seal(headers);
        headers.extend(length.map(|length| (header::CONTENT_LENGTH, length)));
        response
    }
}

/// Lets a request through if not too many are under way.
async fn admit<K: Kv>(State(app): State<Arc<App<K>>>, request: Request, next: Next) -> Response {
    let Ok(_held) = app.in_flight.try_acquire() else {
        return Failure::Busy("too many requests are under way").into_response();
    };
    next.run(request).await
}

/// Refuses a request for no host, and a browser's request for a host that this node is not. A page
/// of somebody else's whose name is made to resolve to this node would otherwise be let in, as if
/// it came from here. Other programs cannot be led astray like that, and may call the node what
/// they like.
fn check_host<K: Kv>(request: &Request, kv: &K) -> Result<(), Failure> {
    let headers = request.headers();
    // RFC 9112, section 3.2: without it nobody could say whom the request is meant for.
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || hosts == 0 && request.version() == Version::HTTP_11 {
        let reason = "it takes one Host header".to_owned();
        return Err(Failure::Rejected(StatusCode::BAD_REQUEST, reason));
    }
    let is_browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    if !is_browser {
        return Ok(());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    let is_ours = host.is_some_and(|host| names_a_node(&host, &kv.cluster().borrow()));
    if is_ours { Ok(()) } else { Err(Failure::Misdirected) }
}

/// Returns whether the host is an address, localhost, or one of those that clients are sent to.
fn names_a_node(host: &Authority, cluster: &Cluster) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let is_name = |other: &str| other.eq_ignore_ascii_case(name);
    let is_member = |member: &Member| {
        let url = member.http_url.parse::<Uri>().ok();
        is_name(&member.resp_host) || url.is_some_and(|url| url.host().is_some_and(is_name))
    };
    name.parse::<IpAddr>().is_ok() || is_name("localhost") || cluster.members.iter().any(is_member)
}

/// Says that a response is fresh only now, and is what its type says.
pub(super) fn seal(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// A body that tells when it has been read to its end.
struct Watched {
    body: Body,
    is_read: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.is_read.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// `GET /`: what there is.
async fn index() -> Response {
    const ROUTES: &str = concat!(
        r#"{"name":"raftkv","version":""#,
        env!("CARGO_PKG_VERSION"),
        r#"","routes":["PUT /kv/{key}","GET /kv/{key}","DELETE /kv/{key}","#,
        r#""GET /kv?prefix=&after=&limit=","GET /status","GET /livez","GET /readyz"]}"#,
    );
    body::json(StatusCode::OK, ROUTES)
}

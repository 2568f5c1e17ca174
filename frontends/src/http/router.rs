//! Which path leads where, and what holds for all of them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::Batch;
use tokio::sync::Semaphore;

use super::body::Budget;
use super::error::Failure;
use super::{Options, body, kv, status};
use crate::Kv;

/// What every handler shares.
#[derive(Clone)]
pub(super) struct App<K> {
    /// The store.
    pub(super) kv: K,
    /// The limits.
    pub(super) options: Arc<Options>,
    /// The bytes of bodies that may be held.
    pub(super) budget: Budget,
    /// The requests for keys that may be under way.
    in_flight: Arc<Semaphore>,
}

impl<K: Kv> App<K> {
    /// Carries out a batch of one command; an error points to the leader with the same request.
    pub(super) async fn execute(&self, batch: Batch, uri: &Uri) -> Result<Vec<Reply>, Failure> {
        let outcome = self.kv.execute(batch).await;
        outcome.map_err(|error| Failure::from_store(error, &self.kv.cluster().borrow(), uri))
    }
}

/// Returns the routes over a store, without the limits that belong to connections.
pub fn router<K: Kv>(kv: K, options: &Options) -> Router {
    let app = App {
        kv,
        budget: Budget::new(options.max_buffered_bytes.max(options.max_body_bytes())),
        in_flight: Arc::new(Semaphore::new(options.max_in_flight.min(Semaphore::MAX_PERMITS))),
        options: Arc::new(options.clone()),
    };
    let key = get(kv::get::<K>).put(kv::put::<K>).delete(kv::delete::<K>);
    // The probes are outside the limit: an operator must see a node that is busy.
    Router::new()
        .route("/kv", get(kv::list::<K>))
        .route("/kv/", key.clone())
        .route("/kv/{*key}", key)
        .route_layer(middleware::from_fn_with_state(app.clone(), admit::<K>))
        .route("/", get(index))
        .route("/status", get(status::status::<K>))
        .route("/livez", get(status::livez::<K>))
        .route("/readyz", get(status::readyz::<K>))
        .fallback(async || Failure::UnknownRoute)
        .method_not_allowed_fallback(async || Failure::Method)
        .layer(middleware::map_response(finish))
        .with_state(app)
}

/// Lets a request through if not too many are under way.
async fn admit<K: Kv>(State(app): State<App<K>>, request: Request, next: Next) -> Response {
    let Ok(_held) = app.in_flight.try_acquire() else {
        return Failure::Busy("too many requests are under way").into_response();
    };
    next.run(request).await
}

/// Adds what every response carries: it is fresh only now, and it is what its type says.
async fn finish(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
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

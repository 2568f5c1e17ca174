//! etcd's own API, over gRPC.
//!
//! The two calls that a load needs, and their messages, stand here as in etcd's `rpc.proto`. The
//! crate etcd-client speaks through the same tonic, but can only be built where `protoc` is
//! installed.

use bytes::Bytes;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::{ANSWER_DEADLINE, Client, Request, Target, key_name};
use crate::Fallible;

/// What is of `PutRequest` here.
#[derive(Clone, PartialEq, prost::Message)]
struct Put {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// What is of `PutResponse` here: that it came.
#[derive(Clone, PartialEq, prost::Message)]
struct PutDone {}

/// What is of `RangeRequest` here. Without `serializable` the read is linearizable.
#[derive(Clone, PartialEq, prost::Message)]
struct Range {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
}

/// What is of `RangeResponse` here.
#[derive(Clone, PartialEq, prost::Message)]
struct RangeDone {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

/// What is of `KeyValue` here.
#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(bytes = "bytes", tag = "5")]
    value: Bytes,
}

/// A connection of its own, not one that others share.
#[derive(Debug)]
pub(crate) struct EtcdGrpc {
    grpc: Grpc<Channel>,
    value: Bytes,
}

impl Client for EtcdGrpc {
    async fn connect(target: &Target) -> Fallible<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{}", target.address))?;
        let channel = endpoint.timeout(ANSWER_DEADLINE).connect().await?;
        let value = Bytes::copy_from_slice(target.value.as_bytes());
        // The default is less than the largest value that is measured, with what is around it.
        let grpc = Grpc::new(channel).max_decoding_message_size(16 << 20);
        Ok(Self { grpc, value })
    }

    /// Requests that are sent together are streams of one connection.
    async fn call(&mut self, requests: &[Request]) -> Fallible<usize> {
        if let [request] = requests {
            return call(&mut self.grpc, *request, self.value.clone()).await.map(usize::from);
        }
        let mut streams = JoinSet::new();
        for request in requests {
            let (mut grpc, request, value) = (self.grpc.clone(), *request, self.value.clone());
            streams.spawn_local(async move {
                call(&mut grpc, request, value).await.map_err(|error| error.to_string())
            });
        }
        let mut errors = 0;
        while let Some(answer) = streams.join_next().await {
            errors += usize::from(answer??);
        }
        Ok(errors)
    }
}

/// Returns whether the answer is an error or no value.
async fn call(grpc: &mut Grpc<Channel>, request: Request, value: Bytes) -> Fallible<bool> {
    const PUT: &str = "/etcdserverpb.KV/Put";
    const RANGE: &str = "/etcdserverpb.KV/Range";
    grpc.ready().await?;
    let key = Bytes::from(key_name(request.key));
    let is_good = if request.is_write {
        let put = tonic::Request::new(Put { key, value });
        let codec: ProstCodec<Put, PutDone> = ProstCodec::default();
        grpc.unary(put, PathAndQuery::from_static(PUT), codec).await.is_ok()
    } else {
        let range = tonic::Request::new(Range { key });
        let codec: ProstCodec<Range, RangeDone> = ProstCodec::default();
        let done = grpc.unary(range, PathAndQuery::from_static(RANGE), codec).await;
        done.is_ok_and(|done| !done.get_ref().kvs.is_empty())
    };
    Ok(!is_good)
}

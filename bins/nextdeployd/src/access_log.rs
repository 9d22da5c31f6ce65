//! Access records: from the data plane to the log of requests, and from there to the API.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use nd_api::v1::RequestFrame;
use nd_server::Requests;
use nd_traffic::{Followed, Form, RequestLog};
use nd_types::{AccessRecord, AppName};
use tokio::sync::mpsc;

use crate::paths::Paths;
use crate::proxy::DataPlane;
use crate::run::RunError;

/// Batches that wait for the disk; further ones wait in the data plane, which drops what is too much.
const WAITING: usize = 4;

/// The log of requests of this daemon.
#[derive(Clone)]
pub(crate) struct AccessLog(RequestLog);

impl AccessLog {
    /// Opens it, where requests leave records.
    pub(crate) fn open(form: nd_proxy::AccessLog, paths: &Paths) -> Result<Option<Self>, RunError> {
        let form = match form {
            nd_proxy::AccessLog::Json => Form::Json,
            nd_proxy::AccessLog::Combined => Form::Combined,
            nd_proxy::AccessLog::Off => return Ok(None),
        };
        let log = RequestLog::open(&paths.requests(), form)
            .map_err(|error| RunError::Start(format!("open the access log: {error}")))?;
        Ok(Some(Self(log)))
    }

    /// Writes down what the data plane has, until nothing comes any more.
    pub(crate) async fn write(&self, proxy: &DataPlane) {
        match proxy {
            DataPlane::Embedded(proxy) => {
                while let Some(delivery) = proxy.records().next().await {
                    self.0.append(delivery.done().lines.into()).await;
                }
            }
            DataPlane::Process(ingress) => {
                let (into, mut batches) = mpsc::channel::<Bytes>(WAITING);
                let write = async {
                    while let Some(batch) = batches.recv().await {
                        self.0.append(batch).await;
                    }
                };
                tokio::join!(ingress.records(into), write);
            }
        }
    }
}

impl Requests for AccessLog {
    fn recent(&self, app: &AppName, count: usize) -> Vec<AccessRecord> {
        self.0.recent(app, count)
    }

    fn follow(&self, app: &AppName) -> BoxStream<'static, RequestFrame> {
        let frame = |followed| match followed {
            Followed::Record(record) => RequestFrame::Request(record),
            Followed::Gap => RequestFrame::Gap,
        };
        self.0.follow(app).map(frame).boxed()
    }
}

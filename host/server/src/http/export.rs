//! `/v1/events/export`: a stretch of the log as lines that `trackside store import` takes. Written while it is read, as fast as it is taken.
//! The lines are the store's.

use std::{io, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Uri, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use trackside_store::Export;

use super::{Api, body, problem::Problem};
use crate::params::{EXPORT_PARAMS, EventParams};

/// `GET /v1/events/export`. What goes wrong on the way breaks the answer off: its last line is missing then.
pub(super) async fn export(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    let asked = EventParams::parse(body::borrowed(&pairs), &EXPORT_PARAMS)?.export()?;
    let export = api.read(|store| Export::begin(store, asked)).await?;
    let pieces = stream::unfold(Some((api, export)), |at| async move {
        let (api, mut export) = at?;
        match step(&api, &mut export).await {
            Ok(Some(piece)) => Some((Ok(piece), Some((api, export)))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn step(api: &Api, export: &mut Export) -> io::Result<Option<Bytes>> {
    if *api.stopping.borrow() {
        return Err(io::Error::other("the host is stopping"));
    }
    let mut lines = Vec::new();
    match api.read(|store| export.step(store, &mut lines)).await {
        Ok(true) => Ok(Some(lines.into())),
        Ok(false) => Ok(None),
        Err(problem) => Err(io::Error::other(problem.detail().to_owned())),
    }
}

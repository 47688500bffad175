//! Owns `wasi:http` as a guest finds it: always linked, so that a component that imports it loads; every request asks for a permit first.
//! Leaves permits, and sending, to the crate's `http`.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::p2::IoError;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiHttpCtxView, WasiHttpView,
    p2::{
        add_only_http_to_linker_async,
        bindings::http::{outgoing_handler::Host as _, types::ErrorCode},
        types::{HostFutureIncomingResponse, HostOutgoingRequest},
    },
};

use crate::{http, state::State};

/// The two interfaces, in the version that is linked.
const TYPES: &str = "wasi:http/types@0.2.12";
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http.ctx, table: &mut self.table, hooks: &mut self.http.sender }
    }
}

/// Adds both interfaces. None of their functions waits by itself, so that they are the same on every engine.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    // Nothing is sent that has not been looked at.
    linker.instance(HANDLER)?.func_wrap("handle", |mut store: StoreContextMut<'_, State>, (request, options)| {
        store.data_mut().handle(request, options).map(|answer| (answer,))
    })?;
    // What ends an answer in its body has a code as well.
    linker.instance(TYPES)?.func_wrap("http-error-code", |store: StoreContextMut<'_, State>, (error,): (Resource<IoError>,)| {
        let error = store.data().table.get(&error)?;
        let code = error.downcast_ref::<ErrorCode>().cloned();
        Ok((code.or_else(|| error.downcast_ref::<Error>().and_then(http::code_of_body)),))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

impl State {
    fn handle(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> wasmtime::Result<Result<Resource<HostFutureIncomingResponse>, ErrorCode>> {
        self.count(0)?;
        let patience = match options {
            Some(options) => self.table.delete(options)?,
            None => RequestOptions::default(),
        };
        let asked = http::asked(self.table.get(&request)?);
        if let Err(code) = asked.and_then(|asked| self.permit(asked, patience)) {
            self.table.delete(request)?;
            return Ok(Err(code));
        }
        match WasiHttpView::http(self).handle(request, None) {
            Ok(future) => Ok(Ok(future)),
            Err(error) => error.downcast().map(Err),
        }
    }
}

//! What `--listen-metrics-urls` serves: the pages alone, without the store.

use std::rc::Rc;

use crate::http::{Closed, Exchange, Handler};

use super::{
    Api, pages,
    routes::{self, Route},
};

pub struct Monitor(pub Rc<Api>);

impl Handler for Monitor {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        match routes::find(exchange.path()) {
            Route::Page(_) | Route::Metrics => self.0.handle(exchange).await,
            _ => pages::not_found(exchange).await,
        }
    }
}

//! What a board answers that is no member yet: that it waits, and for what.

use std::cell::RefCell;

use crate::http::{Closed, Exchange, Handler};

use super::{
    answer::refuse,
    errors::{Code, Refusal, status},
    pages,
    routes::{self, Page, Route},
    text_head,
};

/// Says so to everybody.
#[derive(Default)]
pub struct Waiting {
    why: RefCell<String>,
}

impl Waiting {
    /// From now on it waits for this.
    pub fn say(&self, why: &str) {
        why.clone_into(&mut self.why.borrow_mut());
    }

    fn reason(&self) -> String {
        match &**self.why.borrow() {
            "" => "this board waits to be let into the cluster".to_owned(),
            why => format!("this board waits to be let into the cluster: {why}"),
        }
    }
}

impl Handler for Waiting {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        let reason = self.reason();
        match routes::find(exchange.path()) {
            // Starting it anew would not help.
            Route::Page(Page::Livez(_)) => exchange.reply(text_head(status::OK), b"ok\n").await,
            Route::Page(Page::Health) => pages::unhealthy(exchange, &reason).await,
            Route::Call(_) => refuse(exchange, &Refusal::told(Code::Unavailable, reason)).await,
            _ => exchange.reply(text_head(status::UNAVAILABLE), format!("{reason}\n").as_bytes()).await,
        }
    }
}

//! Keeps a lease alive, at whatever endpoint.

use std::time::{Duration, Instant};

use async_io::Timer;

use super::{Client, ClientError, core::within};
use crate::rpc::{self, LeaseKeepAliveRequest, LeaseKeepAliveResponse};

/// A lease is renewed when a third of its time is over, as etcd's client does.
const THIRDS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

pub struct KeepAlive<'a> {
    client: &'a Client,
    lease: i64,
    /// When the lease is over unless it is renewed, by what the last answer said.
    ends: Option<Instant>,
    /// When it is renewed next.
    next: Option<Instant>,
}

impl<'a> KeepAlive<'a> {
    pub(super) fn new(client: &'a Client, lease: i64) -> KeepAlive<'a> {
        KeepAlive { client, lease, ends: None, next: None }
    }

    /// Renews the lease, when it is time to. `None`: it is over, or has not been renewed for as long as it lives.
    pub async fn next(&mut self) -> Result<Option<LeaseKeepAliveResponse>, ClientError> {
        if let Some(next) = self.next {
            Timer::at(next).await;
        }
        loop {
            let asked = Instant::now();
            match self.once().await {
                Ok(response) if response.ttl <= 0 => return Ok(None),
                Ok(response) => {
                    let ttl = Duration::from_secs(response.ttl.unsigned_abs());
                    self.ends = asked.checked_add(ttl);
                    self.next = asked.checked_add(ttl / THIRDS);
                    return Ok(Some(response));
                }
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) => match self.ends {
                    Some(ends) if asked < ends => {
                        log::debug!("keep-alive: {error}");
                        self.client.move_on();
                        Timer::after(PAUSE).await;
                    }
                    Some(_) => return Ok(None),
                    None => return Err(error),
                },
            }
        }
    }

    /// Renews the lease now, once. Its TTL is 0 if there is no such lease.
    pub async fn once(&self) -> Result<LeaseKeepAliveResponse, ClientError> {
        let request = rpc::encode(&LeaseKeepAliveRequest { id: self.lease });
        let exchange = async {
            let mut stream = self.client.led_stream("/v3/lease/keepalive", &request).await?;
            let silent = ClientError::Broken {
                endpoint: stream.endpoint().to_string(),
                what: "it did not answer".into(),
                unknown: false,
            };
            stream.next().await?.ok_or(silent)
        };
        let timeout = self.client.options().command_timeout + self.client.options().dial_timeout;
        within(timeout, exchange).await
    }
}

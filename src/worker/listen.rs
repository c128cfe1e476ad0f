//! Hears from other processes that there may be jobs.

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::repository::jobs;

/// The time between two tries to connect.
const PAUSE: Duration = Duration::from_secs(2);
/// How long closing the connection may take.
const CLOSE: Duration = Duration::from_secs(1);

/// Stirs the claiming loop at each notification until `stop`, on a connection of its own.
///
/// What is lost with a connection is made up for by a stir when it is back, and by the poll.
pub async fn listen(pool: &PgPool, stir: &Notify, stop: &CancellationToken) {
    // A pool of one, beside the one that handlers and requests share.
    let own = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with((*pool.connect_options()).clone());
    let mut outage = Outage::new("listening for jobs");
    let listening = async {
        loop {
            let Err(error) = receive(&own, stir, &mut outage).await;
            outage.failed(&error);
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = listening => {}
    }
    // A connection that does not close in time is closed with the process.
    let _closed = tokio::time::timeout(CLOSE, own.close()).await;
}

async fn receive(
    own: &PgPool,
    stir: &Notify,
    outage: &mut Outage,
) -> sqlx::Result<std::convert::Infallible> {
    let mut listener = PgListener::connect_with(own).await?;
    listener.listen(jobs::CHANNEL).await?;
    loop {
        outage.over();
        stir.notify_one();
        // `None`: the connection was lost and there is a new one
        listener.try_recv().await?;
    }
}

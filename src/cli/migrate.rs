//! `user-management migrate`.

use super::runtime;

pub(super) async fn run() -> anyhow::Result<()> {
    let (app, database) = runtime::open_app().await?;
    app.pool.close().await;
    database.close().await
}

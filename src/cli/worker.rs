//! `user-management worker`.

use anyhow::{Context as _, bail};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{runtime, serve};
use crate::{
    app::App,
    http::{self, server, telemetry::Metrics},
    repository::pool,
    shutdown::StopSignals,
    telemetry::{self, LogDetail, LogTarget},
};

pub(super) async fn run() -> anyhow::Result<()> {
    let signals = StopSignals::listen().context("can't hear of signals")?;
    let config = runtime::load_config()?;
    telemetry::start_log(
        config.server.log_format,
        config.server.log_filter.as_ref(),
        LogDetail::of_service(config.server.debug),
        LogTarget::StandardOutput,
    )?;
    let Some(database) = config.database.url.clone() else {
        bail!(
            "`worker` shares a database with servers: set DATABASE_URL. Without one `serve` runs a worker of its own"
        );
    };
    let metrics = telemetry::start_metrics()?;
    let operations = serve::bind_operations(&config).await?;
    pool::migrate(&database).await?;
    let data_dir = runtime::data_dir(&config)?;
    let base_url = runtime::base_url(&config, config.server.bind_address)?;
    let app = App::build(runtime::parts(config, database, &data_dir, base_url)?)?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    app.start_worker(&tasks, &stop);
    app.start_chaining(&tasks, &stop);
    tasks.spawn(serve::tidy(metrics.clone(), stop.clone()));
    let address = operations
        .local_addr()
        .context("the listening socket has no address")?;
    let router = http::operations_router(&app.state, Metrics(metrics));
    tasks.spawn(server::serve(operations, router, stop.clone()));
    tracing::info!(metrics = %format_args!("http://{address}/metrics"), "ready");
    signals.received().await;
    tracing::info!("stopping");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    app.pool.close().await;
    Ok(())
}

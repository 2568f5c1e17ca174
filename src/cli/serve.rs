//! `raftkv serve`: one node, from its flags to a clean stop.

use std::io::{IsTerminal, Read};

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{LogFormat, ServeArgs};
use crate::node;

/// Runs a node until SIGTERM or SIGINT.
pub fn run(args: ServeArgs) -> anyhow::Result<()> {
    init_log(&args.log, args.log_format)?;
    raftkv_storage::fs::explain_sigbus().context("watching SIGBUS")?;
    let stdin_end = args.stop_on_stdin_end.then(watch_stdin).transpose()?;
    let config = args.check()?;
    // One thread for everything that only passes bytes on: see `node`.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let result = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("watching SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("watching SIGINT")?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = ended(stdin_end) => {}
            }
        };
        node::run(config, stop).await
    });
    // Work on blocking threads (a snapshot under way) is of no use to a process that ends.
    runtime.shutdown_background();
    result
}

fn init_log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    // A bare word would be taken for a target, and everything else be silent.
    let word = filter.split(',').map(str::trim).find(|directive| {
        !directive.contains(['=', '[']) && directive.parse::<LevelFilter>().is_err()
    });
    if let Some(word) = word {
        bail!(
            "--log: {word:?} is neither a level (error, warn, info, debug, off) nor TARGET=LEVEL"
        );
    }
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log: {filter:?}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
        }
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Returns what resolves when standard input ends.
fn watch_stdin() -> anyhow::Result<oneshot::Receiver<()>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            let mut buffer = [0; 64];
            let mut stdin = std::io::stdin().lock();
            while matches!(stdin.read(&mut buffer), Ok(read) if read > 0) {}
            let _ = sender.send(());
        })
        .context("watching standard input")?;
    Ok(receiver)
}

async fn ended(stdin: Option<oneshot::Receiver<()>>) {
    match stdin {
        Some(stdin) => drop(stdin.await),
        None => std::future::pending().await,
    }
}

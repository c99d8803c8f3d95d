//! libvirt's event loop, on a thread of its own.  It carries events and the connection's keepalive, and has
//! to exist before the first connection is opened.

use std::sync::OnceLock;

static STARTED: OnceLock<()> = OnceLock::new();

/// Starts the loop of this process.  A second call does nothing.
pub fn start_loop() -> anyhow::Result<()> {
    let mut result = Ok(());
    STARTED.get_or_init(|| {
        // libvirt prints every error by itself otherwise, expected ones as well.
        virt::error::clear_error_callback();
        result = virt::event::event_register_default_impl().map_err(anyhow::Error::from);
        if result.is_ok() {
            // Detached: it ends with the process, and holds nothing that needs an orderly end.
            std::thread::Builder::new()
                .name("libvirt-events".into())
                .spawn(|| {
                    loop {
                        if let Err(error) = virt::event::event_run_default_impl() {
                            tracing::error!(%error, "libvirt's event loop");
                            std::thread::sleep(std::time::Duration::from_secs(1));
                        }
                    }
                })
                .map_or_else(|error| result = Err(error.into()), drop);
        }
    });
    result
}

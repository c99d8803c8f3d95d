use crate::state::App;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
pub async fn serve(_app: App, _listener: TcpListener, _stop: CancellationToken) {}

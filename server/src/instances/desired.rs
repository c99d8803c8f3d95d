use crate::error::Result;
use crate::ids::HostId;
use crate::state::App;
use jst_protocol::desired::DesiredInstance;

pub async fn changed_since(_app: &App, _host: HostId, _revision: i64) -> Result<Vec<DesiredInstance>> {
    Ok(Vec::new())
}

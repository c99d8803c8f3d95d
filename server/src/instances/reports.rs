use crate::error::Result;
use crate::ids::HostId;
use crate::state::App;
use jst_protocol::report::InstanceReport;

pub async fn apply(_app: &App, _host: HostId, _reports: &[InstanceReport]) -> Result<()> {
    Ok(())
}

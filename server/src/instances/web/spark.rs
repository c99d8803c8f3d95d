//! The processor use of the last hour, as a picture beside an instance in a list.
//!
//! A picture of its own and no part of the page: lists stay as fast as they are, and browsers keep it for a minute.

use super::graphs::{HEIGHT, WIDTH, path};
use crate::auth::Actor;
use crate::error::Result;
use crate::ids::InstanceId;
use crate::instances::samples::{self, figure::Figure, history::Range};
use crate::state::App;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub fn routes() -> Router<App> {
    Router::new().route("/instances/{id}/spark.svg", get(show))
}

async fn show(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Response> {
    let id: InstanceId = id.parse()?;
    let (instance, history) = samples::history(&app, &actor, id, Range::Hour).await?;
    let cpu = &instance.policy.cpu;
    let most = cpu.limit.map_or(u64::from(cpu.vcpus) * 1000, |limit| limit.get()).max(1);
    let picture = draw(&history.of(Figure::CpuUsed).average, most as f64);
    let headers = [(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "private, max-age=60")];
    Ok((headers, picture).into_response())
}

/// An empty line at the bottom where nothing is known.  A picture knows nothing of the page's colours: this gold
/// can be seen on paper and on ink.
fn draw(values: &[Option<f32>], most: f64) -> String {
    let (line, area) = (path(values, most, false), path(values, most, true));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\">\
         <path d=\"M0 {HEIGHT}H{WIDTH}\" stroke=\"#8b8778\" stroke-width=\"1\" vector-effect=\"non-scaling-stroke\"/>\
         <path d=\"{area}\" fill=\"#c08a1c\" fill-opacity=\".22\"/>\
         <path d=\"{line}\" fill=\"none\" stroke=\"#b8801a\" stroke-width=\"1.5\" vector-effect=\"non-scaling-stroke\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_top_and_gaps_stay_gaps() {
        let picture = draw(&[Some(1000.0), None, Some(0.0)], 1000.0);
        let lines: Vec<&str> = picture.split("d=\"").skip(1).collect();
        assert!(lines[2].starts_with('M') && lines[2].matches('M').count() == 2, "{picture}");
        assert!(!draw(&[], 1.0).contains("NaN"));
    }
}

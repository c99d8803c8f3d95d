//! The administration as an API.  The pages call the same use cases.

mod announcements;
mod billing;
mod catalogue;
mod customers;
mod hosts;
mod image_imports;
mod images;
mod instances;
mod log;
mod payments;
mod platform;
mod pools;
mod set_aside;

use crate::state::App;
use utoipa_axum::router::OpenApiRouter;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(platform::routes())
        .merge(hosts::routes())
        .merge(pools::routes())
        .merge(catalogue::routes())
        .merge(images::routes())
        .merge(image_imports::routes())
        .merge(customers::routes())
        .merge(instances::routes())
        .merge(announcements::routes())
        .merge(log::routes())
        .merge(set_aside::routes())
        .merge(billing::routes())
        .merge(payments::routes())
}

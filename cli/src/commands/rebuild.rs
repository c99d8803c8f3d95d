//! Starting an instance from an image again.

use super::{actions, create};
use crate::arguments::Rebuild;
use crate::confirm;
use crate::context::Context;
use crate::error::Result;
use crate::resolve;
use crate::words::texts;
use serde_json::json;

pub async fn rebuild(context: &Context, rebuild: Rebuild) -> Result<()> {
    let user_data = rebuild.user_data.as_deref().map(create::read_user_data).transpose()?;
    let api = context.api()?;
    let instance = resolve::instance(&api, &rebuild.change.instance.name).await?;
    // Absent keeps the keys of the last build, and an empty list takes them away.
    let keys = resolve::keys(&api, &rebuild.keys).await?;
    let keys: Vec<String> = keys.into_iter().map(|key| key.id).collect();
    let keys = (rebuild.no_keys || !keys.is_empty()).then_some(keys);
    let image = rebuild.image.unwrap_or_else(|| instance.image.id.clone());
    let shown = if image == instance.image.id { instance.image.slug.clone() } else { image.clone() };
    let about = [("name", instance.name.clone()), ("image", shown)];
    confirm::by_name(
        context.language,
        texts::WARN_REBUILD,
        &about,
        (&instance.id, &instance.name),
        rebuild.yes,
    )?;
    let body = json!({
        "image": image, "hostname": rebuild.hostname, "ssh_keys": keys, "user_data": user_data,
    });
    let body = create::without_nothing(body);
    actions::ask(context, &api, &instance, &rebuild.change, "rebuild", body).await
}

//! What can be chosen: plans and images.  Neither needs a token.

use crate::context::Context;
use crate::error::Result;
use crate::model::{Image, Plan};
use crate::output::{Table, mib, money, print, print_json};
use crate::words::{Language, texts};

pub async fn plans(context: &Context) -> Result<()> {
    let listing = context.open_api()?.list(&["plans"], &[], None).await?;
    if context.json {
        print_json(&listing.text);
        return Ok(());
    }
    let heads = [
        texts::PLAN,
        texts::NAME,
        texts::CPU,
        texts::MEMORY,
        texts::DISK,
        texts::GUARANTEED,
        texts::PRICE,
        texts::TRIAL,
    ];
    let mut table = Table::new(&heads.map(|head| context.text(head)));
    for plan in listing.read::<Plan>()? {
        // Whoever reads Chinese most likely pays in yuan; the API tells both.
        let (name, sign, price) = match context.language {
            Language::English => (plan.name_en, "$", plan.price_monthly_usd),
            Language::Chinese => (plan.name_zh, "¥", plan.price_monthly_cny),
        };
        let price = if price == 0 { context.text(texts::FREE).to_owned() } else { money(sign, price) };
        let policy = &plan.policy;
        let cores = policy.cpu.reservation as f64 / 1000.0;
        let trial = if plan.trial { context.text(texts::YES) } else { "" };
        table.row(vec![
            plan.slug,
            name,
            format!("{} vCPU", policy.cpu.vcpus),
            mib(policy.memory.size),
            mib(policy.disk.size),
            format!("{cores} vCPU, {}", mib(policy.memory.reservation)),
            price,
            trial.to_owned(),
        ]);
    }
    print(&table.render());
    Ok(())
}

pub async fn images(context: &Context) -> Result<()> {
    let listing = context.open_api()?.list(&["images"], &[], None).await?;
    if context.json {
        print_json(&listing.text);
        return Ok(());
    }
    let heads = [texts::IMAGE, texts::NAME, texts::LEAST_DISK, texts::LEAST_MEMORY, texts::LOG_IN_AS];
    let mut table = Table::new(&heads.map(|head| context.text(head)));
    for image in listing.read::<Image>()? {
        table.row(vec![
            image.slug,
            image.name,
            mib(image.virtual_bytes.div_ceil(1 << 20)),
            mib(image.min_memory_mib),
            image.login_user,
        ]);
    }
    print(&table.render());
    Ok(())
}

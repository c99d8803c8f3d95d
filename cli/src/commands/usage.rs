//! What an instance uses: its counters now, and its figures over time.

use crate::arguments::Range;
use crate::context::Context;
use crate::error::Result;
use crate::model::{Metrics, Series};
use crate::output::{Facts, Table, note, print, print_json, spark, time};
use crate::resolve;
use crate::words::texts;
use serde_json::{Map, Value};

/// Characters of a line of blocks.
const SPARK: usize = 30;

pub async fn usage(context: &Context, name: &str) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::instance(&api, name).await?;
    let answer = api.get(&["instances", &instance.id, "usage"], &[]).await?;
    if context.json {
        print_json(&answer.text);
        return Ok(());
    }
    // The names are the API's: they have their units in them, and new ones need no new release.
    let Some(counters) = answer.read::<Option<Map<String, Value>>>()? else {
        note(context.text(texts::NOTHING_HERE));
        return Ok(());
    };
    let mut facts = Facts::new();
    for (name, value) in counters {
        facts.add(&name, value.as_str().map_or_else(|| value.to_string(), time));
    }
    print(&facts.render());
    Ok(())
}

pub async fn metrics(context: &Context, name: &str, range: Range) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::instance(&api, name).await?;
    let query = [("range", range.name().to_owned())];
    let answer = api.get(&["instances", &instance.id, "metrics"], &query).await?;
    if context.json {
        print_json(&answer.text);
        return Ok(());
    }
    let metrics: Metrics = answer.read()?;
    if metrics.series.iter().all(|series| series.average.iter().flatten().next().is_none()) {
        note(context.text(texts::NOTHING_HERE));
        return Ok(());
    }
    print(&table(context, &metrics.series).render());
    Ok(())
}

fn table(context: &Context, series: &[Series]) -> Table {
    let heads = [
        texts::FIGURE,
        texts::LATEST,
        texts::AVERAGE,
        texts::HIGHEST,
        texts::GUARANTEED,
        texts::MAXIMUM,
        texts::UNIT,
        texts::COURSE,
    ];
    let mut table = Table::new(&heads.map(|head| context.text(head)));
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let whole = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    for series in series {
        let known: Vec<f64> = series.average.iter().flatten().copied().collect();
        let average = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        table.row(vec![
            series.name.clone(),
            number(known.last().copied()),
            number(average),
            number(series.highest.iter().flatten().copied().reduce(f64::max)),
            whole(series.guaranteed),
            whole(series.maximum),
            series.unit.clone(),
            spark(&series.average, SPARK),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Language;

    #[test]
    fn gaps_are_no_zeros() {
        let context = Context { language: Language::English, json: false, server: None, ca: None };
        let series = Series {
            name: "cpu_used".into(),
            unit: "millicpu".into(),
            maximum: Some(1000),
            average: vec![Some(10.0), None, Some(30.0)],
            highest: vec![Some(15.0), None, Some(90.0)],
            ..Series::default()
        };
        let shown = table(&context, &[series]).render();
        let row: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[..7], ["cpu_used", "30.0", "20.0", "90.0", "-", "1000", "millicpu"]);
    }
}

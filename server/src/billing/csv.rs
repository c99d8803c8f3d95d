//! Lines of invoices for a spreadsheet (RFC 4180).

use super::bill::Line;
use super::charges::Item;
use super::invoices::invoice_number;
use super::standing::at;
use time::format_description::well_known::Rfc3339;

const HEAD: &str =
    "invoice,month,instance,name,item,plan,plan_version,since,until,quantity,unit,currency,amount";

/// Amounts before tax, with a point, as every spreadsheet reads them.
pub fn of_lines(lines: &[(i64, Line)]) -> String {
    let mut csv = String::from(HEAD);
    csv.push_str("\r\n");
    for (number, line) in lines {
        let (item, unit) = match line.item {
            Item::Time => ("time", "seconds"),
            Item::Traffic => ("traffic", "bytes"),
        };
        let time = |second: i64| at(second).format(&Rfc3339).unwrap_or_default();
        let fields = [
            invoice_number(*number),
            line.month.strftime("%Y-%m").to_string(),
            line.instance.to_string(),
            field(&line.name),
            item.to_owned(),
            field(&line.plan.name_en),
            line.plan.version.to_string(),
            time(line.since),
            time(line.until),
            line.quantity.to_string(),
            unit.to_owned(),
            line.amount.currency.code().to_owned(),
            crate::web::format::money("", line.amount.minor),
        ];
        csv.push_str(&fields.join(","));
        csv.push_str("\r\n");
    }
    csv
}

/// Quoted where it must be.  What a spreadsheet would take for a formula begins with an apostrophe: customers choose
/// names, and operators open the file.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_name_is_one_field_and_no_formula() {
        for (name, written) in [
            ("web-1", "web-1"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=cmd()", "'=cmd()"),
            ("-1,2", "\"'-1,2\""),
        ] {
            assert_eq!(field(name), written);
        }
    }
}

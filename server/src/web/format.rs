//! Figures as people read them.

use jst_policy::admission::Resource;

/// `512 MiB`, `2 GiB`, `1.5 GiB`, `2 TiB`.
pub fn mib(mib: u64) -> String {
    match mib {
        0..1024 => format!("{mib} MiB"),
        1024..1_048_576 => format!("{} GiB", one_decimal(mib, 1024)),
        _ => format!("{} TiB", one_decimal(mib, 1_048_576)),
    }
}

/// `300 kbit/s`, `100 Mbit/s`, `2.5 Gbit/s`.
pub fn kbit(kbit: u64) -> String {
    match kbit {
        0..1000 => format!("{kbit} kbit/s"),
        1000..1_000_000 => format!("{} Mbit/s", one_decimal(kbit, 1000)),
        _ => format!("{} Gbit/s", one_decimal(kbit, 1_000_000)),
    }
}

/// `300 B/s`, `12 kB/s`, `1.5 MB/s`, `2 GB/s`: of 1,000 bytes, as disks are sold.
pub fn bytes_per_second(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B/s"),
        1000..1_000_000 => format!("{} kB/s", one_decimal(bytes, 1000)),
        1_000_000..1_000_000_000 => format!("{} MB/s", one_decimal(bytes, 1_000_000)),
        _ => format!("{} GB/s", one_decimal(bytes, 1_000_000_000)),
    }
}

/// `0.5`, `1`, `1.25`: thousandths of a core as cores.
pub fn cores(millicpu: u64) -> String {
    let text = format!("{:.2}", millicpu as f64 / 1000.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `0%`, `1.2%`, `37.5%`.  What did happen is never shown as nothing: less than a tenth is `0.1%`.
pub fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    let tenths = if part > 0 { tenths.max(1) } else { 0 };
    if tenths.is_multiple_of(10) {
        format!("{}%", tenths / 10)
    } else {
        format!("{}.{}%", tenths / 10, tenths % 10)
    }
}

/// `200 IOPS`, `7,000 IOPS`.
pub fn iops(operations: u64) -> String {
    format!("{} IOPS", thousands(operations))
}

/// `30/s`, `7,000/s`.
pub fn packets_per_second(packets: u64) -> String {
    format!("{}/s", thousands(packets))
}

/// Both languages part thousands in the same way.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Minor units with the currency's sign: `¥12.00`, `$3.50`.
pub fn money(currency: &str, minor: i64) -> String {
    let minus = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    format!("{minus}{}{}.{:02}", sign(currency), minor / 100, minor % 100)
}

/// A small price in millionths of the currency, with as many decimals as it needs and two at least: `$0.007`.
pub fn small_money(currency: &str, micro: i64) -> String {
    let minus = if micro < 0 { "-" } else { "" };
    let micro = micro.unsigned_abs();
    let decimals = format!("{:06}", micro % 1_000_000);
    let decimals = decimals.trim_end_matches('0');
    format!("{minus}{}{}.{decimals:0<2}", sign(currency), micro / 1_000_000)
}

fn sign(currency: &str) -> &str {
    match currency {
        "CNY" => "¥",
        "USD" => "$",
        other => other,
    }
}

/// An amount of what a host can run short of, with its unit.
pub fn amount(resource: Resource, amount: u64) -> String {
    match resource {
        Resource::CpuReservation => format!("{} vCPU", cores(amount)),
        Resource::Vcpus | Resource::DedicatedCores => format!("{amount} vCPU"),
        Resource::MemoryReservation | Resource::MemorySize | Resource::Disk => mib(amount),
        Resource::DiskReservation => iops(amount),
        Resource::NetworkInbound | Resource::NetworkOutbound => kbit(amount),
    }
}

fn one_decimal(value: u64, unit: u64) -> String {
    let tenths = (value * 10 + unit / 2) / unit;
    if tenths.is_multiple_of(10) {
        format!("{}", tenths / 10)
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(mib(512), "512 MiB");
        assert_eq!(mib(1536), "1.5 GiB");
        assert_eq!(mib(2048), "2 GiB");
        assert_eq!(mib(2 * 1024 * 1024), "2 TiB");
        assert_eq!(kbit(100_000), "100 Mbit/s");
        assert_eq!(kbit(2_500_000), "2.5 Gbit/s");
        assert_eq!(bytes_per_second(999), "999 B/s");
        assert_eq!(bytes_per_second(81_920), "81.9 kB/s");
        assert_eq!(bytes_per_second(2_500_000_000), "2.5 GB/s");
        assert_eq!(iops(200), "200 IOPS");
        assert_eq!(iops(1_007_000), "1,007,000 IOPS");
        assert_eq!(cores(500), "0.5");
        assert_eq!(percent(12, 1000), "1.2%");
        assert_eq!(percent(1, 1_000_000), "0.1%");
        assert_eq!((percent(0, 0), percent(5, 5)), ("0%".into(), "100%".into()));
        assert_eq!(cores(2000), "2");
        assert_eq!(money("CNY", 1205), "¥12.05");
        assert_eq!(money("USD", -5), "-$0.05");
        assert_eq!(small_money("USD", 7_000), "$0.007");
        assert_eq!(small_money("CNY", 50_000), "¥0.05");
        assert_eq!(small_money("CNY", 1_000_000), "¥1.00");
        assert_eq!(small_money("USD", 12_345_678), "$12.345678");
    }
}

//! A list of processors as the kernel writes it: `0-3,8`.

use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Numbers of processors; at least one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuList(BTreeSet<u32>);

impl CpuList {
    /// More than any machine has, so that a slip of the pen does not fill the memory.
    const MOST: u32 = 65_535;

    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Nothing is returned where none is left.
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Option<Self> {
        let numbers: BTreeSet<u32> = numbers.into_iter().collect();
        (!numbers.is_empty()).then_some(Self(numbers))
    }

    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    pub fn contains(&self, number: u32) -> bool {
        self.0.contains(&number)
    }
}

impl FromStr for CpuList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no list of processors such as 0-3,8");
        let mut cpus = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u32>().ok().filter(|number| *number <= Self::MOST);
            let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
            if first > last {
                return Err(wrong());
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }
}

/// Ranges are written as such, in ascending order.
impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for &cpu in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        for (index, (first, last)) in ranges.into_iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for CpuList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_counted_and_written() {
        for (text, count, written) in
            [("1", 1, "1"), ("0-3", 4, "0-3"), ("8, 0-2,3", 5, "0-3,8"), ("2,2-3", 2, "2-3")]
        {
            let list: CpuList = text.parse().unwrap();
            assert_eq!((list.count(), list.to_string().as_str()), (count, written));
        }
        for wrong in ["", "a", "3-1", "0-", "-1", "0-99999999", "1;2"] {
            assert!(wrong.parse::<CpuList>().is_err(), "{wrong} passed");
        }
    }
}

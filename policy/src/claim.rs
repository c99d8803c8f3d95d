//! What one instance may ask of one resource.  The four resources share this shape, so that one
//! algorithm ([`crate::divide`]) and one set of words serve all of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A claim on one resource, in that resource's unit.
///
/// `reservation` is guaranteed; `limit` is never exceeded (absent: the whole resource); `shares`
/// weigh the division of what is left under contention; `demand` is what could be used now, where
/// it can be measured (absent: unbounded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub reservation: u64,
    pub limit: Option<u64>,
    pub shares: u64,
    pub demand: Option<u64>,
}

impl Claim {
    /// The same claim with a measured demand.
    pub const fn with_demand(self, demand: u64) -> Self {
        Self { demand: Some(demand), ..self }
    }

    /// The most that it can use: limit or demand, whichever is less; `u64::MAX` without either.
    pub fn wanted(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX).min(self.demand.unwrap_or(u64::MAX))
    }
}

/// The weight of an instance under contention: a level, or a number of its own.
///
/// Levels stand 1:2:4 and scale with the size of the instance (see [`Shares::weight`]); a custom
/// number is used as it is.  In JSON: `"low"`, `"normal"`, `"high"` or a positive integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Shares {
    Low,
    #[default]
    Normal,
    High,
    Custom(u32),
}

/// What one unit of a resource weighs at the level `low`; `normal` is twice and `high` four times
/// as much.  The figures are those that vSphere's operators know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareUnit {
    /// 500 a vCPU.
    Vcpu,
    /// 5 a MiB of memory.
    MemoryMiB,
    /// 500 a disk.
    Disk,
    /// 25 an interface.
    Interface,
}

impl ShareUnit {
    const fn low(self) -> u64 {
        match self {
            Self::Vcpu | Self::Disk => 500,
            Self::MemoryMiB => 5,
            Self::Interface => 25,
        }
    }
}

impl Shares {
    /// Largest custom number: it keeps every product of shares and capacity within 128 bits and
    /// every ratio within what kernel weights can express.
    pub const MAX_CUSTOM: u32 = 1_000_000;

    /// The weight of `count` units (vCPUs, MiB, disks, interfaces) of a resource.
    pub const fn weight(self, unit: ShareUnit, count: u64) -> u64 {
        match self {
            Self::Low => unit.low() * count,
            Self::Normal => unit.low() * 2 * count,
            Self::High => unit.low() * 4 * count,
            Self::Custom(number) => number as u64,
        }
    }
}

impl std::fmt::Display for Shares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Low => f.write_str("low"),
            Self::Normal => f.write_str("normal"),
            Self::High => f.write_str("high"),
            Self::Custom(number) => write!(f, "{number}"),
        }
    }
}

impl std::str::FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "low" => Ok(Self::Low),
            "normal" => Ok(Self::Normal),
            "high" => Ok(Self::High),
            number => match number.parse::<u32>() {
                Ok(number) if (1..=Self::MAX_CUSTOM).contains(&number) => Ok(Self::Custom(number)),
                _ => Err(format!("shares are low, normal, high or a number from 1 to {}", Self::MAX_CUSTOM)),
            },
        }
    }
}

impl Serialize for Shares {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Custom(number) => serializer.serialize_u32(*number),
            level => serializer.collect_str(level),
        }
    }
}

impl<'de> Deserialize<'de> for Shares {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Shares;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "\"low\", \"normal\", \"high\" or a number from 1 to {}", Shares::MAX_CUSTOM)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Shares, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Shares, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Shares, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

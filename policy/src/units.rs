//! Units of resources.  A bare integer never crosses a module boundary: a `MiB` cannot be passed
//! where a `KbitPerSec` is wanted, and a reader never has to ask "per second of what?".

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $suffix:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            pub const ZERO: Self = Self(0);

            /// The bare number, for the edge of the program (SQL, XML, tc).
            pub const fn get(self) -> u64 {
                self.0
            }

            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", self.0, $suffix)
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
                Self(values.map(|value| value.0).sum())
            }
        }
    };
}

unit!(
    /// Thousandths of one physical CPU: 1,500 is one and a half cores.
    MilliCpu,
    "mCPU"
);
unit!(
    /// Mebibytes (2^20 bytes), of memory or of disk.
    MiB,
    "MiB"
);
unit!(
    /// Kilobits a second, of 1,000 bits, as network links are sold; counted on the wire.
    KbitPerSec,
    "kbit/s"
);
unit!(
    /// Kibibytes (1,024 bytes): the size of a network burst.
    KiB,
    "KiB"
);
unit!(
    /// Bytes a second, of disk throughput.
    BytesPerSec,
    "B/s"
);
unit!(
    /// Input/output operations a second.
    Iops,
    "IOPS"
);

impl MiB {
    pub const fn from_gib(gib: u64) -> Self {
        Self(gib * 1024)
    }

    pub const fn bytes(self) -> u64 {
        self.0 * 1024 * 1024
    }
}

impl KbitPerSec {
    pub const fn from_mbit(mbit: u64) -> Self {
        Self(mbit * 1000)
    }

    /// Bytes a second on the wire, as tc counts them.
    pub const fn bytes_per_sec(self) -> u64 {
        self.0 * 125
    }
}

/// A number as people read it: `1,048,576`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (123_456, "123,456"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(Grouped(number).to_string(), text);
        }
    }
}
